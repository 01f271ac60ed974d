/* Why: the load of every measurement. Its clients come from many loopback addresses, so that
 * balancers which look at the address spread them, and it says what it met as JSON.
 * SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "crowd.h"

#define THREADS_MAX 16
#define SECOND      1000000000.0

static const char usage[] =
	"usage: load --target ADDRESS:PORT [options]\n"
	"  --mode new|keep|hold|watch|bulk\n"
	"                              one connection per request (default); request after "
	"request\n"
	"                              on each connection; one request, then stay; like new, and "
	"say\n"
	"                              when a client's worker changes; one long answer (worker.c)\n"
	"                              per connection\n"
	"  --tls off|full|resumed      plain (default); TLS 1.3 with every handshake whole; by "
	"the\n"
	"                              newest ticket of the client, once it has one\n"
	"  --clients N                 at the same time (64)\n"
	"  --threads N                 that share them (1)\n"
	"  --seconds S                 how long (3)\n"
	"  --count N                   stop after N connections; not with keep (0: no bound)\n"
	"  --bytes N                   of a long answer (1e12)\n"
	"  --opening N                 with hold: open so many connections at a time (15000)\n"
	"  --addresses N               client addresses 127.1.x.y (2000)\n"
	"  --first N                   number of the first of them (0)\n"
	"  --pause S                   between an answer and the next connection (0)\n"
	"  --settle S                  do not count (but for connections) until then, nor until "
	"every\n"
	"                              client has been answered, and say when (0: count all)\n"
	"  --patience S                after which an unanswered request counts as hung (5)\n";

static const char *const mode_words[] = { "new", "keep", "hold", "watch", "bulk", NULL };
static const char *const tls_words[] = { "off", "full", "resumed", NULL };

/* The numbers of the command line, each with its range. */
enum number {
	CLIENTS,
	THREADS,
	SECONDS,
	COUNT,
	BYTES,
	OPENING,
	ADDRESSES,
	FIRST,
	PAUSE,
	SETTLE,
	PATIENCE,
	NUMBERS
};

struct number_option {
	const char *name;
	double value, least, most;
};

static struct number_option numbers[NUMBERS] = {
	[CLIENTS] = { "clients", 64, 1, 15000 },     [THREADS] = { "threads", 1, 1, THREADS_MAX },
	[SECONDS] = { "seconds", 3, 0.001, 86400 },  [COUNT] = { "count", 0, 0, 1e9 },
	[ADDRESSES] = { "addresses", 2000, 1, 6e4 }, [FIRST] = { "first", 0, 0, 6e4 },
	[BYTES] = { "bytes", 1e12, 1, 1e15 },        [OPENING] = { "opening", 15000, 1, 15000 },
	[SETTLE] = { "settle", 0, 0, 3600 },         [PAUSE] = { "pause", 0, 0, 3600 },
	[PATIENCE] = { "patience", 5, 0.001, 3600 },
};

struct load {
	struct plan plan;
	unsigned threads;
	int64_t deadline;
	struct crowd *crowds[THREADS_MAX];
};

static void number_set(struct number_option *number, const char *text)
{
	char *end;
	const double value = strtod(text, &end);

	if (end == text || *end || !(value >= number->least && value <= number->most))
		errx(2, "--%s %s: expected a number from %.15g to %.15g", number->name, text,
		     number->least, number->most);
	number->value = value;
}

static unsigned number_whole(enum number which)
{
	return (unsigned)numbers[which].value;
}

static int64_t number_ns(enum number which)
{
	return (int64_t)(numbers[which].value * SECOND);
}

static unsigned word_of(const char *text, const char *const *words)
{
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	errx(2, "%s: not a word that is known here\n%s", text, usage);
}

static struct sockaddr_in target_of(const char *text)
{
	struct sockaddr_in target = { .sin_family = AF_INET };
	const char *colon = strchr(text, ':');
	char host[INET_ADDRSTRLEN] = "";
	unsigned long port = 0;
	char *end = NULL;

	if (colon && (size_t)(colon - text) < sizeof host) {
		memcpy(host, text, (size_t)(colon - text));
		port = strtoul(colon + 1, &end, 10);
	}
	if (!end || *end || port < 1 || port > 65535 ||
	    inet_pton(AF_INET, host, &target.sin_addr) != 1)
		errx(2, "--target %s: expected ADDRESS:PORT, e.g. 127.0.0.1:3000", text);
	target.sin_port = htons((uint16_t)port);
	return target;
}

static void load_read_options(struct load *load, int argc, char **argv)
{
	struct option options[NUMBERS + 4] = {
		[NUMBERS] = { "mode", required_argument, NULL, 'm' },
		[NUMBERS + 1] = { "target", required_argument, NULL, 't' },
		[NUMBERS + 2] = { "tls", required_argument, NULL, 's' },
	};
	int option;

	for (int i = 0; i < NUMBERS; i++)
		options[i] = (struct option){ numbers[i].name, required_argument, NULL, i };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'm')
			load->plan.mode = word_of(optarg, mode_words);
		else if (option == 's')
			load->plan.leg = word_of(optarg, tls_words);
		else if (option == 't')
			load->plan.target = target_of(optarg);
		else if (option >= 0 && option < NUMBERS)
			number_set(&numbers[option], optarg);
		else
			errx(2, "%s", usage);
	}
	if (optind != argc || !load->plan.target.sin_port)
		errx(2, "%s", usage);
}

static void load_write_request(struct plan *plan)
{
	const bool last = plan->mode == MODE_NEW || plan->mode == MODE_WATCH;
	char path[32] = "/";

	if (plan->mode == MODE_BULK)
		snprintf(path, sizeof path, "/bulk/%" PRIu64, plan->bytes);
	snprintf(plan->ask, sizeof plan->ask, "GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n", path,
		 last ? "Connection: close\r\n" : "");
}

static void load_plan(struct load *load)
{
	const unsigned threads = number_whole(THREADS);
	const enum mode mode = load->plan.mode;

	if (mode == MODE_KEEP && numbers[COUNT].value > 0)
		errx(2, "--count counts connections, and --mode keep makes no new ones");
	if ((mode == MODE_HOLD || mode == MODE_WATCH) && threads > 1)
		errx(2, "--mode %s works in one thread", mode_words[mode]);
	if (number_whole(CLIENTS) < threads)
		errx(2, "fewer --clients than --threads");
	load->threads = threads;
	load->plan.addresses = number_whole(ADDRESSES);
	load->plan.first_address = number_whole(FIRST);
	load->plan.count = (number_whole(COUNT) + threads - 1) / threads;
	load->plan.bytes = (uint64_t)numbers[BYTES].value;
	load->plan.opening = number_whole(OPENING);
	load_write_request(&load->plan);
	load->plan.pause = number_ns(PAUSE);
	load->plan.settle = number_ns(SETTLE);
	load->plan.patience = number_ns(PATIENCE);
	for (unsigned i = 0; i < threads; i++) {
		const unsigned share = number_whole(CLIENTS) * (i + 1) / threads -
				       number_whole(CLIENTS) * i / threads;

		load->crowds[i] = crowd_new(&load->plan, share);
	}
}

struct shift {
	struct load *load;
	unsigned thread;
};

static void *on_thread(void *argument)
{
	const struct shift *shift = argument;

	crowd_run(shift->load->crowds[shift->thread], shift->load->deadline);
	return NULL;
}

static void load_run(struct load *load)
{
	struct shift shifts[THREADS_MAX];
	pthread_t threads[THREADS_MAX];

	load->deadline = client_now() + number_ns(SECONDS);
	for (unsigned i = 1; i < load->threads; i++) {
		shifts[i] = (struct shift){ load, i };
		if (pthread_create(&threads[i], NULL, on_thread, &shifts[i]) != 0)
			errx(1, "no thread for the clients");
	}
	crowd_run(load->crowds[0], load->deadline);
	for (unsigned i = 1; i < load->threads; i++)
		pthread_join(threads[i], NULL);
}

static void load_report(const struct load *load)
{
	static struct histogram latency;
	uint64_t outcomes[OUTCOMES] = { 0 };
	uint64_t begun = 0, bytes = 0, shaken = 0, resumed = 0;
	double seconds = 0;

	for (unsigned i = 0; i < load->threads; i++) {
		const struct crowd *crowd = load->crowds[i];
		const double lasted = (double)(crowd->ended - crowd->started) / SECOND;

		histogram_merge(&latency, &crowd->latency);
		for (unsigned j = 0; j < OUTCOMES; j++)
			outcomes[j] += crowd->outcomes[j];
		begun += crowd->begun;
		bytes += crowd->bytes;
		shaken += crowd->shaken;
		resumed += crowd->resumed;
		seconds = lasted > seconds ? lasted : seconds;
	}
	printf("{\"mode\": \"%s\", \"seconds\": %.6f, \"connections\": %" PRIu64
	       ", \"connections_per_s\": %.1f, \"requests\": %" PRIu64
	       ", \"requests_per_s\": %.1f, \"refused\": %" PRIu64 ", \"errors\": %" PRIu64
	       ", \"hangs\": %" PRIu64 ", \"p50_us\": %.1f, \"p99_us\": %.1f"
	       ", \"handshakes\": %" PRIu64 ", \"resumed\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"bytes_per_s\": %.0f}\n",
	       mode_words[load->plan.mode], seconds, begun, (double)begun / seconds,
	       outcomes[OUTCOME_ANSWERED], (double)outcomes[OUTCOME_ANSWERED] / seconds,
	       outcomes[OUTCOME_REFUSED], outcomes[OUTCOME_FAILED], outcomes[OUTCOME_HUNG],
	       (double)histogram_quantile(&latency, 0.5) / 1000,
	       (double)histogram_quantile(&latency, 0.99) / 1000, shaken, resumed, bytes,
	       (double)bytes / seconds);
}

static void on_signal(int number)
{
	(void)number;
	crowd_ending = 1;
}

static void process_prepare(void)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const struct sigaction ignored = { .sa_handler = SIG_IGN };
	struct rlimit files;

	sigaction(SIGPIPE, &ignored, NULL); /* OpenSSL writes without MSG_NOSIGNAL */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	static struct load load;

	process_prepare();
	load_read_options(&load, argc, argv);
	load_plan(&load);
	load_run(&load);
	load_report(&load);
	for (unsigned i = 0; i < load.threads; i++)
		crowd_free(&load.crowds[i]);
	return 0;
}
