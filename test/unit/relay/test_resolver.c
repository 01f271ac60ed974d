/* Why: servers come and go by what the resolver says of their names; whatever a name server does,
 * nobody may lose his server for it who need not. SPDX-License-Identifier: ISC */
#include "dns.h"

#include "relay/resolver.h"
#include "relay/upstream.h"

#define NAME "app.example"

struct scene {
	struct event_base *base;
	struct dns dns;
	struct config config;
	struct pool_config pool;
	struct server server;
	struct resolver *resolver;
	struct message_server slots[CONFIG_PLACES]; /* as told last */
	unsigned words;
	unsigned goal;
};

static void on_word(const struct message *message, void *arg)
{
	const struct message_server *found = &message->SERVER_FOUND;
	struct scene *scene = arg;

	assert_int_equal(message->type, MESSAGE_SERVER_FOUND);
	assert_int_equal(found->pool, 0);
	assert_true(found->slot < scene->pool.slots);
	scene->slots[found->slot] = *found;
	scene->words++;
}

static void scene_begin(struct scene *scene, enum server_kind kind, const char *host)
{
	*scene = (struct scene){ .base = event_base_new() };
	dns_begin(&scene->dns, scene->base);
	scene->server = (struct server){ .kind = kind,
					 .host = (char *)(uintptr_t)host,
					 .name = (char *)(uintptr_t) "given",
					 .port = kind == SERVER_SRV ? 0 : 80,
					 .weight = 1 };
	scene->pool = (struct pool_config){ .name = (char *)(uintptr_t) "web",
					    .slots = config_server_places(&scene->server),
					    .proxied = true,
					    .prefix4 = 32,
					    .prefix6 = 64,
					    .resolve_interval = 100,
					    .check_fall = 3,
					    .server = { &scene->server, 1 } };
	scene->config.pools = &scene->pool;
	scene->config.pool_count = 1;
	scene->config.limpet.resolver = (struct address_list){ &scene->dns.local, 1 };
	scene->resolver = resolver_new(scene->base, &scene->config, on_word, scene);
}

static void scene_end(struct scene *scene)
{
	resolver_free(&scene->resolver);
	assert_null(scene->resolver);
	dns_end(&scene->dns);
	event_base_free(scene->base);
}

static bool has_words(void *arg)
{
	const struct scene *scene = arg;

	return scene->words >= scene->goal;
}

static bool has_asked(void *arg)
{
	const struct scene *scene = arg;

	return scene->dns.asked >= scene->goal;
}

static void until_words(struct scene *scene, unsigned count)
{
	scene->goal = scene->words + count;
	assert_true(loopback_until(scene->base, has_words, scene));
	loopback_settle(scene->base);
	assert_int_equal(scene->words, scene->goal);
}

/* Two whole lookups more, whatever was under way, and not a word. */
static void assert_silence(struct scene *scene)
{
	const unsigned words = scene->words;

	scene->goal = scene->dns.asked + 6;
	assert_true(loopback_until(scene->base, has_asked, scene));
	assert_int_equal(scene->words, words);
}

/* "10.0.0.1:80 -10.0.0.2:80": present, leaving; to the last that was told. */
static void assert_slots(const struct scene *scene, const char *expected)
{
	char text[4096] = "", one[ADDRESS_TEXT];
	size_t length = 0, last = 0;

	for (size_t i = 0; i < scene->pool.slots; i++)
		if (scene->slots[i].state != SERVER_ABSENT)
			last = i + 1;
	for (size_t i = 0; i < last; i++) {
		const struct message_server *slot = &scene->slots[i];

		length += (size_t)snprintf(
			text + length, sizeof text - length, "%s%s%s", i > 0 ? " " : "",
			slot->state == SERVER_LEAVING ? "-" : "",
			slot->state == SERVER_ABSENT ? "." : address_print(&slot->address, one));
	}
	assert_string_equal(text, expected);
}

/* Worry: an address that needs no name server waits for one. */
static void test_numbers_are_told_at_once(void **state)
{
	static const char *const rows[][2] = { { "10.0.0.1", "10.0.0.1:80" },
					       { "::1", "[::1]:80" },
					       { "unix:/run/x.sock", "unix:/run/x.sock" } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene scene;

		scene_begin(&scene, SERVER_ADDRESS, rows[i][0]);
		scene.server.weight = 0.5;
		resolver_start(scene.resolver);
		assert_int_equal(scene.words, 1);
		assert_slots(&scene, rows[i][1]);
		assert_string_equal(scene.slots[0].name, "given");
		assert_int_equal(scene.slots[0].weight, 500);
		loopback_settle(scene.base);
		assert_int_equal(scene.dns.asked, 0);
		scene_end(&scene);
	}
}

/* Worry: one address goes and others move; or it returns and is another slot. */
static void test_addresses_go_and_return(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_DNS, NAME);
	dns_set(&scene.dns, NAME, "10.0.0.2 10.0.0.1 10.0.0.3");
	resolver_start(scene.resolver);
	until_words(&scene, 3);
	assert_slots(&scene, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80");
	assert_string_equal(scene.slots[1].name, "10.0.0.2:80"); /* what is hashed */
	assert_int_equal(scene.slots[1].weight, 1000);
	dns_set(&scene.dns, NAME, "10.0.0.3 10.0.0.1");
	until_words(&scene, 1);
	assert_slots(&scene, "10.0.0.1:80 -10.0.0.2:80 10.0.0.3:80");
	dns_set(&scene.dns, NAME, "10.0.0.3 10.0.0.1 10.0.0.2");
	until_words(&scene, 1);
	assert_slots(&scene, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80");
	assert_silence(&scene);
	scene_end(&scene);
}

/* Worry: the name server's trouble, or a slip in its zone file, takes all servers away. */
static void test_failures_change_nothing(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_DNS, NAME);
	dns_set(&scene.dns, NAME, "10.0.0.1 10.0.0.2");
	resolver_start(scene.resolver);
	until_words(&scene, 2);
	scene.dns.count = 0; /* NXDOMAIN */
	assert_silence(&scene);
	dns_set(&scene.dns, NAME, ""); /* no addresses */
	assert_silence(&scene);
	dns_add(&scene.dns, NAME, ns_t_a, NULL); /* SERVFAIL */
	assert_silence(&scene);
	dns_set(&scene.dns, NAME, "10.0.0.2"); /* back, and heard */
	until_words(&scene, 1);
	assert_slots(&scene, "-10.0.0.1:80 10.0.0.2:80");
	scene_end(&scene);
}

/* Worry: a name server that starts after us is asked only once. */
static void test_a_first_failure_is_tried_again(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_ADDRESS, NAME);
	scene.pool.resolve_interval = 86400000; /* the first tries do not wait for it */
	resolver_start(scene.resolver);
	scene.goal = 2;
	assert_true(loopback_until(scene.base, has_asked, &scene));
	assert_int_equal(scene.words, 0);
	dns_set(&scene.dns, NAME, "10.0.0.1");
	until_words(&scene, 1);
	assert_slots(&scene, "10.0.0.1:80");
	assert_string_equal(scene.slots[0].name, "given");
	scene_end(&scene);
}

/* Worry: one slot of a name with several addresses jumps between them at each answer. */
static void test_one_slot_stays_at_its_address(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_ADDRESS, NAME);
	dns_set(&scene.dns, NAME, "10.0.0.2 10.0.0.1");
	resolver_start(scene.resolver);
	until_words(&scene, 1);
	assert_slots(&scene, "10.0.0.2:80");
	dns_set(&scene.dns, NAME, "10.0.0.1 10.0.0.2");
	assert_silence(&scene);
	dns_set(&scene.dns, NAME, "10.0.0.1");
	until_words(&scene, 1);
	assert_slots(&scene, "10.0.0.1:80");
	scene_end(&scene);
}

/* Worry: relay 0 dies, and its successor gives every address another slot, or forgets that one
 * left. */
static void test_a_successor_goes_on(void **state)
{
	struct scene before, after;

	(void)state;
	scene_begin(&before, SERVER_DNS, NAME);
	dns_set(&before.dns, NAME, "10.0.0.5 10.0.0.6 10.0.0.7");
	resolver_start(before.resolver);
	until_words(&before, 3);
	dns_set(&before.dns, NAME, "10.0.0.5 10.0.0.7");
	until_words(&before, 1);

	scene_begin(&after, SERVER_DNS, NAME);
	for (size_t i = 0; i < 3; i++) {
		resolver_known(after.resolver, &before.slots[i]);
		after.slots[i] = before.slots[i];
	}
	dns_set(&after.dns, NAME, "10.0.0.1 10.0.0.5 10.0.0.6");
	resolver_start(after.resolver);
	until_words(&after, 3);
	assert_slots(&after, "10.0.0.5:80 10.0.0.6:80 -10.0.0.7:80 10.0.0.1:80");
	scene_end(&before);
	scene_end(&after);
}

/* Worry: more addresses than places overrun something; or nobody is told. */
static void test_too_many_addresses(void **state)
{
	static char texts[CONFIG_PLACES + 2][16];
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_DNS, NAME);
	for (unsigned i = 0; i < CONFIG_PLACES + 2; i++) {
		snprintf(texts[i], sizeof texts[i], "10.0.1.%u", i);
		dns_add(&scene.dns, NAME, ns_t_a, texts[i]);
	}
	resolver_start(scene.resolver);
	until_words(&scene, CONFIG_PLACES);
	assert_silence(&scene);
	scene_end(&scene);
}

/* Worry: the weights of an SRV record are lost on the way. */
static void test_srv_weights_are_told(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_SRV, "_ws._tcp." NAME);
	dns_set(&scene.dns, "a.example", "10.0.0.1");
	dns_add(&scene.dns, "b.example", ns_t_a, "10.0.0.2");
	dns_add(&scene.dns, "_ws._tcp." NAME, ns_t_srv, "1 30 8081 a.example");
	dns_add(&scene.dns, "_ws._tcp." NAME, ns_t_srv, "1 0 8082 b.example");
	resolver_start(scene.resolver);
	until_words(&scene, 2);
	assert_slots(&scene, "10.0.0.1:8081 10.0.0.2:8082");
	assert_int_equal(scene.slots[0].weight, 30000);
	assert_int_equal(scene.slots[1].weight, 1000);
	scene_end(&scene);
}

static void on_opened(void *arg)
{
	(void)arg;
}

/* The address that a client gets; port 0: none. */
static struct address place_of(struct upstream *upstream, unsigned client)
{
	struct peer peer = { .v4 = { .sin_family = AF_INET, .sin_port = htons(1) } };
	size_t slot = SIZE_MAX, rank;

	peer.v4.sin_addr.s_addr = htonl(0x0a010000u + client);
	assert_int_equal(upstream_choose(upstream, route_key(&upstream->route, &peer), NULL, true,
					 &slot, &rank),
			 UPSTREAM_SLOT);
	return upstream->slots[slot].address;
}

static struct upstreams *upstreams_of(const struct scene *scene)
{
	struct upstreams *upstreams = upstreams_new(&scene->config, 42, on_opened, NULL);

	for (size_t i = 0; i < scene->pool.slots; i++)
		if (scene->slots[i].state != SERVER_ABSENT)
			upstream_server(upstreams, &scene->slots[i]);
	return upstreams;
}

#define CLIENTS 10000

/* Worry: two Limpets of one seed whose name servers answer in another order, and that have seen
 * another past, send one client to two servers. */
static void test_two_limpets_agree(void **state)
{
	struct scene one, other;
	struct upstreams *ones, *others;
	unsigned per_server[4] = { 0 };

	(void)state;
	scene_begin(&one, SERVER_DNS, NAME);
	scene_begin(&other, SERVER_DNS, NAME);
	dns_set(&one.dns, NAME, "10.0.0.1 10.0.0.2 10.0.0.3");
	dns_set(&other.dns, NAME, "10.0.0.9 10.0.0.3 10.0.0.8");
	resolver_start(one.resolver);
	resolver_start(other.resolver);
	until_words(&one, 3);
	until_words(&other, 3);
	dns_set(&other.dns, NAME, "10.0.0.3 10.0.0.2 10.0.0.1");
	until_words(&other, 4);
	assert_slots(&other, "10.0.0.3:80 -10.0.0.8:80 -10.0.0.9:80 10.0.0.1:80 10.0.0.2:80");
	ones = upstreams_of(&one);
	others = upstreams_of(&other);
	for (unsigned client = 0; client < CLIENTS; client++) {
		const struct address a = place_of(upstream_of(ones, 0), client);
		const struct address b = place_of(upstream_of(others, 0), client);

		assert_true(address_equal(&a, &b));
		per_server[ntohl(a.v4.sin_addr.s_addr) & 3]++;
	}
	for (size_t i = 1; i <= 3; i++)
		assert_in_range(per_server[i], CLIENTS / 3 * 9 / 10, CLIENTS / 3 * 11 / 10);
	upstreams_free(&ones);
	upstreams_free(&others);
	scene_end(&one);
	scene_end(&other);
}

/* Worry: the end of a relay in the middle of a lookup. */
static void test_an_end_at_any_time(void **state)
{
	(void)state;
	for (int turns = 0; turns < 8; turns++) {
		struct scene scene;

		scene_begin(&scene, SERVER_DNS, NAME);
		dns_set(&scene.dns, NAME, "10.0.0.1");
		resolver_start(scene.resolver);
		for (int i = 0; i < turns; i++)
			event_base_loop(scene.base, EVLOOP_ONCE);
		scene_end(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_told_at_once),
		cmocka_unit_test(test_addresses_go_and_return),
		cmocka_unit_test(test_failures_change_nothing),
		cmocka_unit_test(test_a_first_failure_is_tried_again),
		cmocka_unit_test(test_one_slot_stays_at_its_address),
		cmocka_unit_test(test_a_successor_goes_on),
		cmocka_unit_test(test_too_many_addresses),
		cmocka_unit_test(test_srv_weights_are_told),
		cmocka_unit_test(test_two_limpets_agree),
		cmocka_unit_test(test_an_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
