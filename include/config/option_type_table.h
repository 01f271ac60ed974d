/* Why: the second of the two option tables: what a type is in C and how a person reads it. Made
 * from it: the fields' C types and, with functions of the same name, parse, print and equal of each
 * type.
 *
 * X(type, C type of the field, what a person should write)
 * SPDX-License-Identifier: ISC */
#ifndef CONFIG_OPTION_TYPE_TABLE_H
#define CONFIG_OPTION_TYPE_TABLE_H

/* clang-format off */
#define OPTION_TYPES(X) \
X(BOOL,      bool,                 "on or off") \
X(UINT,      uint64_t,             "a whole number") \
X(INT,       int64_t,              "a whole number") \
X(DURATION,  int64_t,              "a time such as 500ms, 10s, 5m or 2h") \
X(SIZE,      uint64_t,             "a size such as 64k, 2m or 1g") \
X(STRING,    char *,               "a text") \
X(STRINGS,   struct string_list,   "a text, repeatable") \
X(COMMAND,   char *,               "a program and its arguments") \
X(CHOICE,    int,                  "one of a few words") \
X(ADDRESSES, struct address_list,  "host:port, [v6]:port, :port or unix:/path") \
X(CIDRS,     struct cidr_list,     "CIDR blocks such as 10.0.0.0/8 or 2001:db8::/32") \
X(SIGNAL,    int,                  "a signal such as TERM, INT or QUIT") \
X(MODE,      int,                  "an octal mask such as 022") \
X(INSTANCES, uint64_t,             "a whole number, or max") \
X(RELAYS,    uint64_t,             "a whole number, or auto") \
X(SERVERS,   struct server_list,   "host:port, unix:/path, dns:name:port or srv:_service._tcp.name, then weight=N and name=X") \
X(SNIS,      struct sni_list,      "a server name and a pool") \
X(PROBE,     char *,               "off, tcp, http GET /path expecting 2xx, or exec COMMAND") \
X(WEIGHTS,   struct weight_list,   "a number, or pairs such as 0:2 1:0.5") \
X(RLIMIT,    int64_t,              "a whole number or size, or unlimited")
/* clang-format on */

#endif
