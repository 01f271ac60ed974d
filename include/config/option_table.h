/* Why: these tables are the master copy of every option. From a row come the struct field, the
 * parser, the default, the range, -t, -T, etc/limpet.ini, the option part of limpet.ini(5) and what
 * a reload does. A new option is one row here and the line of code that uses the value.
 *
 * X(type, name, default, min, max, on reload, help)
 *   type     one of option_type_table.h, which says the C type of the field
 *   default  as it would stand in the file; NULL: the user must give it; "" : unset
 *   min, max for numbers, durations (ms) and sizes (bytes); 0, 0: the type's own range. A CHOICE
 * has the name of its word list (enum option_words) in the place of min reload   LIVE: the new
 * value counts at once; RESTART: at the next start of the process concerned; FIXED: a change needs
 * a new start of Limpet help     one or two sentences; they are the manual.
 * SPDX-License-Identifier: ISC */
#ifndef CONFIG_OPTION_TABLE_H
#define CONFIG_OPTION_TABLE_H

/* clang-format off */
#define LIMPET_OPTIONS(X) \
X(STRING,   user,           "",      0, 0,          FIXED,   "User of the acceptor when Limpet is started as root. Empty: \"limpet\" if that user exists, else \"nobody\".") \
X(STRING,   group,          "",      0, 0,          FIXED,   "Group of the acceptor when started as root. Empty: the primary group of user.") \
X(STRING,   seed_file,      "",      0, 0,          FIXED,   "File with the secret seed of the affinity hash, created with mode 0600 at the first start; a file that others can read is refused. Machines that share it decide alike. Empty: limpet.seed in state_directory.") \
X(STRING,   state_directory,"",      0, 0,          FIXED,   "Directory of what must survive a restart. Empty: $STATE_DIRECTORY, else /var/lib/limpet for root, else $XDG_STATE_HOME/limpet or ~/.local/state/limpet.") \
X(STRING,   runtime_directory,"",    0, 0,          FIXED,   "Directory of sockets. Empty: $RUNTIME_DIRECTORY, else /run/limpet for root, else $XDG_RUNTIME_DIR/limpet, else a fresh one below /tmp.") \
X(STRING,   pid_file,       "",      0, 0,          FIXED,   "File that gets the supervisor's process id; locked while Limpet runs, so that a second instance refuses to start.") \
X(CHOICE,   log_level,      "info",  LOG_LEVELS, 0, LIVE,    "Least important messages to log: alert, error, warning, notice, info or debug.") \
X(CHOICE,   log_format,     "text",  LOG_FORMATS, 0,LIVE,    "text or json, one object per line.") \
X(STRING,   log_file,       "",      0, 0,          LIVE,    "File that gets Limpet's and the workers' lines; opened again on SIGUSR1. Empty: standard error.") \
X(DURATION, stats_period,   "0",     0, 86400000,   LIVE,    "How often the counters are logged, as one line. 0: only at the end.") \
X(STRING,   relay_user,     "",      0, 0,          FIXED,   "User of the relays when Limpet is started as root. Empty: that of the acceptor (user).") \
X(RELAYS,   relays,         "auto",  1, 64,         FIXED,   "Number of relay processes, or auto: one per processor that Limpet may use. None is started where no listener has tls and no pool is reached by proxying.") \
X(ADDRESSES,resolver,       "",      0, 0,          RESTART, "Name server to ask for the names of server = lines, such as 127.0.0.1:53; repeatable. Empty: those of /etc/resolv.conf.") \
X(DURATION, ticket_rotation,"12h",   1000, 604800000, LIVE,  "How often the relays get a new key for TLS session tickets; tickets of the two keys before it are still taken.") \
X(DURATION, drain_timeout,  "60s",   0, 86400000,   LIVE,    "Longest time that workers get to finish their clients at a graceful stop, or after the death of the supervisor, before they are told to stop.") \
X(DURATION, interrupt_timeout,"2s",  0, 86400000,   LIVE,    "The same after SIGINT (Ctrl-C).")

#define LISTEN_OPTIONS(X) \
X(ADDRESSES,bind,           NULL,    0, 0,          RESTART, "Address to listen on: host:port, [v6]:port, :port (IPv6 and IPv4) or unix:/path. May be repeated.") \
X(STRING,   pool,           "",      0, 0,          LIVE,    "Pool that gets the clients. Empty: the only pool there is.") \
X(UINT,     app_port,       "0",     0, 65535,      LIVE,    "Port that a Node application asks for when it should get the clients of this listener. 0: a server on the same port, else the first server that the application opens.") \
X(UINT,     backlog,        "4096",  1, 65535,      LIVE,    "Clients that the kernel may hold before they are accepted; the kernel cuts it to net.core.somaxconn.") \
X(BOOL,     v6only,         "off",   0, 0,          RESTART, "An IPv6 listener takes no IPv4 clients.") \
X(DURATION, keepalive,      "60s",   0, 32767000,   LIVE,    "Idle time before TCP keep-alive probes start (then every 10 s, 3 times). 0: none.") \
X(DURATION, tcp_user_timeout,"0",    0, 86400000,   LIVE,    "Longest time that sent data may stay unacknowledged before the kernel ends the connection. 0: the kernel's own rule.") \
X(BOOL,     nodelay,        "on",    0, 0,          LIVE,    "Set TCP_NODELAY on clients' sockets.") \
X(UINT,     max_connections,"0",     0, 100000000,  LIVE,    "Most open connections of this listener, handed-over ones included. 0: no limit. At the limit it stops accepting: clients wait in the backlog. Where relays accept, each takes its share (max_connections / relays, rounded up).") \
X(UINT,     max_per_client, "0",     0, 100000000,  LIVE,    "Most open connections of one client address, handed-over ones included; more are closed at once. 0: no limit.") \
X(STRING,   tls,            "",      0, 0,          RESTART, "Section [tls:NAME] by which clients are decrypted. Empty: plain.") \
X(BOOL,     tls_passthrough,"off",   0, 0,          RESTART, "Clients speak TLS, and it is not ended here: only the server name in their first record is looked at (sni), and the socket is handed over untouched.") \
X(SNIS,     sni,            "",      0, 0,          LIVE,    "Server name and the pool that gets its clients, such as \"chat.example.org chat\" or \"*.example.org web\"; repeatable. Other clients go to pool. For listeners with tls or tls_passthrough.") \
X(CHOICE,   proxy_protocol, "off",   PROXY_PROTOCOLS, 0, LIVE, "require: every client begins with a PROXY protocol header (version 1 or 2) that says who he is, and is closed otherwise. pass: the same, but the header is left in the stream for the worker. off: nothing is looked for.") \
X(CIDRS,    trusted,        "",      0, 0,          LIVE,    "Blocks of the load balancers that may send PROXY protocol headers; others are closed. Must be given with proxy_protocol = require or pass. Clients of unix: paths are trusted: the permissions of the path decide who may connect.") \
X(DURATION, header_timeout, "3s",    1, 3600000,    LIVE,    "Longest time until a PROXY protocol header, or the first record of tls_passthrough, is there whole.") \
X(CIDRS,    allow,          "",      0, 0,          LIVE,    "Only clients in these blocks are served (with proxy_protocol: by the address that the header carries). Several by spaces or repetition. Empty: all.") \
X(CIDRS,    deny,           "",      0, 0,          LIVE,    "Clients in these blocks are closed at once, also where allow names them.")

#define POOL_OPTIONS(X) \
X(COMMAND,  command,        "",      0, 0,          RESTART, "The worker's program and arguments, split by quoting rules ('..', \"..\", \\) without a shell. %i is the slot, %n the pool, %% a per cent sign. Empty: no workers of our own; the pool needs server.") \
X(SERVERS,  server,         "",      0, 0,          RESTART, "A server elsewhere that is a slot of this pool: host:port or unix:/path, or dns:name:port and srv:_service._proto.name, which give one slot per address. weight=N and name=X may follow; the name (else the address) decides which clients it gets, so several Limpets agree. Repeatable; needs delivery = proxy.") \
X(BOOL,     shell,          "off",   0, 0,          RESTART, "Give the command as one text to /bin/sh -c.") \
X(STRING,   directory,      "",      0, 0,          RESTART, "Working directory. Empty: that of Limpet.") \
X(STRINGS,  environment,    "",      0, 0,          RESTART, "NAME=value, repeatable.") \
X(BOOL,     clear_environment,"off", 0, 0,          RESTART, "Workers get PATH, HOME, USER, LANG and what environment names, and nothing else of Limpet's own environment.") \
X(STRING,   user,           "",      0, 0,          RESTART, "User of the workers; needs root. Empty: that of Limpet.") \
X(STRING,   group,          "",      0, 0,          RESTART, "Group of the workers; needs root. Empty: the primary group of user.") \
X(MODE,     umask,          "",      0, 0,          RESTART, "File mode mask, octal. Empty: that of Limpet.") \
X(INSTANCES,instances,      "max",   1, 1024,       LIVE,    "Number of slots, or max: one per processor that Limpet may use.") \
X(CHOICE,   delivery,       "auto",  DELIVERIES, 0, RESTART, "How workers get their clients: node (Node's own cluster protocol, unmodified applications), fd (limpet_worker(3)), proxy (the worker listens on port or socket by itself and relays connect to it), listen (the same on a socket that it inherits as descriptor 3, LISTEN_FDS), or auto: proxy where server or socket is given, node when the command runs node, else fd.") \
X(BOOL,     adopt_ports,    "off",   0, 0,          LIVE,    "Open ports that a Node application asks for and no listener covers. Without it the application gets EACCES for them.") \
X(UINT,     prefix4,        "32",    1, 32,         LIVE,    "Bits of an IPv4 address that decide its slot.") \
X(UINT,     prefix6,        "64",    1, 128,        LIVE,    "Bits of an IPv6 address that decide its slot.") \
X(WEIGHTS,  weight,         "1",     0, 1000,       LIVE,    "Share of the clients: one number for all slots, or slot:number pairs by spaces (0:2 3:0.5). 0: no clients but those that nobody else can take.") \
X(CHOICE,   ready,          "auto",  READINESSES, 0,RESTART, "When a worker counts as ready: listening (Node: its server listens; fd: it says so on the link), notify (sd_notify READY=1), started (at once), or auto: listening or notify, whichever comes first. With delivery = proxy, listening means that it accepts connections; with listen, started.") \
X(DURATION, start_timeout,  "30s",   1, 86400000,   LIVE,    "Longest time until a started worker is ready; then it is killed and started again.") \
X(DURATION, stop_timeout,   "10s",   0, 86400000,   LIVE,    "Time between stop_signal and SIGKILL.") \
X(SIGNAL,   stop_signal,    "TERM",  0, 0,          LIVE,    "Signal that asks a worker to stop.") \
X(BOOL,     kill_group,     "on",    0, 0,          LIVE,    "Signals go to the worker's whole process group; what it leaves behind is killed too.") \
X(DURATION, watchdog_timeout,"0",    0, 86400000,   RESTART, "A ready worker that lets this time pass without sd_notify WATCHDOG=1 is killed and started again; it finds the time in WATCHDOG_USEC. 0: no watchdog.") \
X(DURATION, min_uptime,     "10s",   0, 86400000,   LIVE,    "A worker that stayed ready this long is well: its failures before that are forgotten.") \
X(DURATION, restart_delay,  "100ms", 1, 3600000,    LIVE,    "Delay before the second restart in a row (the first is immediate); it doubles from there.") \
X(DURATION, restart_delay_max,"30s", 1, 86400000,   LIVE,    "Longest delay between restarts.") \
X(UINT,     max_restarts,   "0",     0, 1000000,    LIVE,    "Most restarts in a row without a healthy time (min_uptime) in between; then the slot is given up. 0: no limit.") \
X(DURATION, stagger,        "0",     0, 3600000,    LIVE,    "Delay between the first starts of one slot and the next.") \
X(INT,      nice,           "0",     -20, 19,       RESTART, "Scheduling priority of the workers.") \
X(RLIMIT,   rlimit_nofile,  "",      0, 0,          RESTART, "Most open files of a worker, or unlimited. Empty: that of Limpet.") \
X(RLIMIT,   rlimit_core,    "",      0, 0,          RESTART, "Largest core dump of a worker, a size or unlimited. Empty: that of Limpet.") \
X(UINT,     port,           "0",     0, 65535,      RESTART, "When set, each worker finds port + slot in PORT. With delivery = proxy relays connect to it on 127.0.0.1; with listen the inherited socket is bound to it.") \
X(STRING,   socket,         "",      0, 0,          RESTART, "UNIX path of a worker that is reached by proxying, such as /run/app/%n-%i.sock; it finds it in LIMPET_SOCKET. Empty with delivery = listen: one in runtime_directory, unless port is given.") \
X(CHOICE,   send_proxy,     "off",   SEND_PROXIES, 0, LIVE,  "Begin connections to workers and servers with a PROXY protocol header of this version, so that they learn the client's address: off, v1 or v2 (with TLS facts, unique id and CRC).") \
X(CHOICE,   tls_at,         "relay", TLS_PLACES, 0, RESTART, "Where the TLS of a listener ends for delivery = node: relay (keys stay with the relays) or worker (the raw socket is handed over and Node decrypts: no hop, but every worker has the key).") \
X(DURATION, connect_timeout,"2s",    1, 3600000,    LIVE,    "Longest time until a worker or server takes a relayed connection; then the next slot is tried.") \
X(UINT,     retries,        "3",     0, 1000,       LIVE,    "Further slots that a relayed client is tried on when connecting fails.") \
X(DURATION, first_byte_timeout,"0",  0, 86400000,   LIVE,    "Longest time until the first byte of a relayed client. 0: no limit but idle_timeout.") \
X(DURATION, idle_timeout,   "1h",    0, 604800000,  LIVE,    "A relayed connection on which nothing moves in either direction for this long is ended. 0: never.") \
X(DURATION, half_closed_timeout,"30s",0, 86400000,  LIVE,    "The same once one side has finished sending. 0: never.") \
X(DURATION, max_connection_age,"0",  0, 2592000000, LIVE,    "A relayed connection that is this old is ended. 0: never.") \
X(DURATION, max_connection_age_jitter,"0", 0, 2592000000, LIVE, "Up to this much is added to max_connection_age, by chance for each connection.") \
X(SIZE,     relay_buffer,   "64k",   4096, 16777216, LIVE,   "Most bytes that a relay holds for one direction of a connection whose receiver is slow.") \
X(PROBE,    check,          "off",   0, 0,          LIVE,    "How a relay finds out whether workers and servers reached by proxying are well: off, tcp (it accepts), http GET /path expecting 2xx (or 200, 200-399; host=NAME may follow), or exec COMMAND (run by the supervisor with LIMPET_ADDRESS, LIMPET_SLOT and LIMPET_POOL; exit code 0 is well).") \
X(DURATION, check_interval, "2s",    10, 86400000,  LIVE,    "Time between two checks of a slot.") \
X(DURATION, check_timeout,  "1s",    1, 3600000,    LIVE,    "Longest time of one check.") \
X(UINT,     check_rise,     "2",     1, 1000,       LIVE,    "Good checks in a row after which a slot gets its clients back.") \
X(UINT,     check_fall,     "3",     1, 1000,       LIVE,    "Failed checks, or failed connections of clients, in a row after which a slot gets none.") \
X(DURATION, resolve_interval,"30s",  100, 86400000, LIVE,    "How often the names of server lines are looked up again. A failed lookup changes nothing.") \
X(CHOICE,   on_down,        "hold",  ON_DOWNS, 0,   LIVE,    "What a client meets whose worker is starting, stopped or stuck (stall_timeout): hold (wait up to queue_timeout, then the next slot of its ranking) or failover (the next slot at once). A worker that is merely busy keeps its clients waiting either way, up to queue_timeout; a slot whose restarts keep failing is passed over at once.") \
X(DURATION, queue_timeout,  "5s",    1, 3600000,    LIVE,    "Longest time that a client is held for a worker.") \
X(UINT,     max_queue,      "1024",  1, 1000000,    LIVE,    "Most clients held for one slot; further ones go to the next slot.") \
X(DURATION, stall_timeout,  "1s",    0, 3600000,    LIVE,    "A worker that leaves a client unacknowledged for this long counts as down until it acknowledges again. 0: never.")

#define TLS_OPTIONS(X) \
X(STRINGS,  certificate,    "",      0, 0,          LIVE,    "PEM file with a certificate and the intermediate certificates behind it; repeatable, each with its key (ECDSA and RSA side by side).") \
X(STRINGS,  key,            "",      0, 0,          LIVE,    "PEM file with the private key of the certificate at the same place in the order; others than its owner must not be able to read it.") \
X(STRING,   directory,      "",      0, 0,          LIVE,    "Directory of further certificates, each with its key in one file *.pem; a client that names a server gets the one with that name (exact, then *.rest).") \
X(CHOICE,   policy,         "intermediate", TLS_POLICIES, 0, LIVE, "intermediate: TLS 1.2 and 1.3 with forward-secret AEAD ciphers; modern: TLS 1.3 only. Source: Mozilla's recommendations 5.8.") \
X(CHOICE,   min_version,    "auto",  TLS_VERSIONS, 0, LIVE,  "Oldest version taken: auto (that of policy), 1.2 or 1.3.") \
X(STRING,   ciphers,        "",      0, 0,          LIVE,    "Cipher suites of TLS 1.2 in OpenSSL's names. Empty: those of policy.") \
X(STRING,   ciphersuites,   "",      0, 0,          LIVE,    "Cipher suites of TLS 1.3. Empty: those of policy.") \
X(STRING,   groups,         "",      0, 0,          LIVE,    "Key exchange groups. Empty: those of policy.") \
X(STRING,   alpn,           "",      0, 0,          LIVE,    "Protocols offered to clients that ask (ALPN), best first, by spaces, such as http/1.1; a client that shares none is refused. Empty: the question is ignored.") \
X(STRING,   client_ca,      "",      0, 0,          LIVE,    "PEM file with the authorities of client certificates.") \
X(CHOICE,   verify,         "off",   TLS_VERIFIES, 0, LIVE,  "off: clients are not asked for a certificate; optional: a certificate that is shown must be good; require: there is no service without one.") \
X(STRING,   crl,            "",      0, 0,          LIVE,    "PEM file with certificate revocation lists, one for each authority of client_ca.") \
X(STRING,   ocsp_staple,    "",      0, 0,          LIVE,    "DER file with the OCSP response for the first certificate; sent to clients that ask while it is good.") \
X(BOOL,     sni_strict,     "off",   0, 0,          LIVE,    "Refuse clients that name no server, or one that no certificate has.") \
X(DURATION, handshake_timeout,"10s", 1, 3600000,    LIVE,    "Longest time of a handshake.") \
X(UINT,     max_handshakes, "2048",  1, 1000000,    LIVE,    "Most handshakes at a time in each relay; further clients are closed.") \
X(DURATION, watch_interval, "60s",   0, 86400000,   LIVE,    "How often the files are looked at; changed ones are loaded without dropping a connection. 0: never.")
/* clang-format on */

#endif
