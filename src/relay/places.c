/* Why: places.h. SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "relay/places.h"

/* By bytes: which order does not matter, only that several Limpets that must leave some of too many
 * addresses out leave the same ones out. */
static int order(const void *a, const void *b)
{
	const struct place_found *x = a, *y = b;
	char text_x[ADDRESS_TEXT], text_y[ADDRESS_TEXT];
	const int by_text =
		strcmp(address_print(&x->address, text_x), address_print(&y->address, text_y));

	return by_text ? by_text : (x->weight < y->weight) - (x->weight > y->weight);
}

static struct place *place_of(struct place *places, size_t count, const struct address *address)
{
	for (size_t i = 0; i < count; i++)
		if (places[i].state != SERVER_ABSENT && address_equal(&places[i].address, address))
			return &places[i];
	return NULL;
}

static bool is_found(const struct place *place, const struct place_found *found, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (address_equal(&place->address, &found[i].address))
			return true;
	return false;
}

static void come(struct place *place, const struct place_found *found)
{
	if (place->state == SERVER_PRESENT && place->weight == found->weight &&
	    address_equal(&place->address, &found->address))
		return;
	*place = (struct place){ .state = SERVER_PRESENT,
				 .address = found->address,
				 .weight = found->weight,
				 .is_changed = true };
}

static void leave(struct place *place, const struct places_rule *rule)
{
	if (place->state == SERVER_PRESENT && !rule->is_partial) {
		place->state = SERVER_LEAVING;
		place->left_ms = rule->now_ms;
		place->is_changed = true;
	} else if (place->state == SERVER_LEAVING &&
		   rule->now_ms - place->left_ms >= rule->keep_ms) {
		*place = (struct place){ .state = SERVER_ABSENT, .is_changed = true };
	}
}

/* The lowest free place, else the one that has been leaving for longest; NULL: all are taken. */
static struct place *free_place(struct place *places, size_t count)
{
	struct place *best = NULL;

	for (size_t i = 0; i < count; i++) {
		if (places[i].state == SERVER_ABSENT)
			return &places[i];
		if (places[i].state == SERVER_LEAVING &&
		    (!best || places[i].left_ms < best->left_ms))
			best = &places[i];
	}
	return best;
}

/* Those that have a place come first, so that nobody new is given the place of one who returns. */
size_t places_assign(struct place *places, size_t count, struct place_found *found,
		     size_t found_count, const struct places_rule *rule)
{
	size_t left_out = 0;

	if (found_count > 1)
		qsort(found, found_count, sizeof *found, order);
	for (size_t i = 0; i < count; i++) {
		places[i].is_changed = false;
		if (places[i].state != SERVER_ABSENT && !is_found(&places[i], found, found_count))
			leave(&places[i], rule);
	}
	for (int newcomers = 0; newcomers < 2; newcomers++)
		for (size_t i = 0; i < found_count; i++) {
			struct place *place = place_of(places, count, &found[i].address);

			if (i > 0 && address_equal(&found[i].address, &found[i - 1].address))
				continue;
			if (!place && !newcomers)
				continue;
			if (!place)
				place = free_place(places, count);
			if (place)
				come(place, &found[i]);
			else
				left_out++;
		}
	return left_out;
}

void places_choose(struct place *place, const struct place_found *found, size_t found_count,
		   const struct places_rule *rule)
{
	const struct place_found *best = NULL;

	place->is_changed = false;
	for (size_t i = 0; i < found_count; i++) {
		if (place->state != SERVER_ABSENT &&
		    address_equal(&place->address, &found[i].address)) {
			best = &found[i];
			break;
		}
		if (!best || (best->address.any.sa_family != AF_INET &&
			      found[i].address.any.sa_family == AF_INET))
			best = &found[i];
	}
	if (best && (!rule->is_partial || place->state == SERVER_ABSENT ||
		     address_equal(&place->address, &best->address)))
		come(place, best);
}
