/* common/tunnel/registry.c */
#include "common/tunnel/registry.h"

#include <string.h>

#include "common/tunnel/tunnel_auth.h"
#include "tests/support/suite.h"

enum { INSTANCE = 77 };

static const struct registry_limits limits = {
    .sessions = 50, .detached = 3, .starting = 2, .tombstones = 4};
static struct registry *registry;
static int sessions[100]; /* what the entries stand for */

static struct tunnel_open open_of(int number)
{
    struct tunnel_open open = {.window = TUNNEL_WINDOW_MIN, .max_frame = TUNNEL_FRAME_MIN};

    open.id.bytes[0] = (uint8_t)number;
    open.key.bytes[0] = (uint8_t)number;
    return open;
}

static struct registry_entry *add(int number)
{
    struct tunnel_open open = open_of(number);
    struct registry_entry *entry = NULL;

    ck_assert_int_eq(registry_open(registry, &open, &sessions[number], &entry),
                     TUNNEL_REFUSAL_NONE);
    ck_assert_ptr_eq(registry_session(entry), &sessions[number]);
    return entry;
}

static enum tunnel_refusal try_open(int number)
{
    struct tunnel_open open = open_of(number);
    struct registry_entry *entry = NULL;

    return registry_open(registry, &open, &sessions[number], &entry);
}

static struct tunnel_resume resume_of(int number, uint64_t instance)
{
    struct tunnel_open open = open_of(number);
    struct tunnel_resume resume = {.id = open.id, .instance = instance, .attempt = 1};

    resume.seal = tunnel_seal_resume(&open.key, &resume);
    return resume;
}

static struct registry_answer ask(int number, uint64_t instance)
{
    struct tunnel_resume resume = resume_of(number, instance);

    return registry_resume(registry, &resume, INSTANCE);
}

static struct registry_entry *find(int number)
{
    struct tunnel_open open = open_of(number);

    return registry_find(registry, &open.id);
}

static void start(void)
{
    registry = registry_new(&limits);
}

START_TEST(a_session_is_found_by_its_id)
{
    start();
    for (int i = 0; i < 50; i++)
        add(i);
    for (int i = 0; i < 50; i++) {
        struct registry_answer answer = ask(i, INSTANCE);
        ck_assert_int_eq(answer.verdict, REGISTRY_LIVE);
        ck_assert_ptr_eq(registry_session(answer.entry), &sessions[i]);
        ck_assert_uint_eq(registry_key(answer.entry)->bytes[0], (uint8_t)i);
    }
    ck_assert_uint_eq(registry_counts(registry).live, 50);
    registry_free(registry);
    registry_free(NULL);
}
END_TEST

START_TEST(what_cannot_be_opened_is_refused)
{
    start();
    add(1);
    ck_assert_int_eq(try_open(1), TUNNEL_REFUSAL_EXISTS);
    for (int i = 2; i <= 50; i++)
        add(i);
    ck_assert_int_eq(try_open(51), TUNNEL_REFUSAL_FULL);
    registry_drain(registry);
    ck_assert_int_eq(try_open(52), TUNNEL_REFUSAL_DRAINING);
    ck_assert_int_eq(ask(50, INSTANCE).verdict, REGISTRY_LIVE); /* while draining, too */
    registry_free(registry);
}
END_TEST

START_TEST(an_unknown_session_is_answered_by_what_is_known_of_it)
{
    start();
    struct registry_answer answer = ask(1, 0);
    ck_assert_int_eq(answer.verdict, REGISTRY_REFUSED);
    ck_assert_int_eq(answer.refusal, TUNNEL_REFUSAL_UNKNOWN);
    ck_assert_int_eq(ask(1, INSTANCE + 1).verdict, REGISTRY_ELSEWHERE);
    answer = ask(1, INSTANCE);
    ck_assert_int_eq(answer.verdict, REGISTRY_GONE);
    ck_assert_int_eq(answer.reset.reason, TUNNEL_END_EXPIRED);
    ck_assert_int_eq(answer.reset.outcome, TUNNEL_OUTCOME_UNKNOWN);
    registry_free(registry);
}
END_TEST

START_TEST(a_forged_resume_learns_nothing)
{
    start();
    struct registry_entry *entry = add(1);
    struct tunnel_resume resume = resume_of(1, INSTANCE);
    resume.seal.bytes[5]++;
    struct registry_answer answer = registry_resume(registry, &resume, INSTANCE);
    ck_assert_int_eq(answer.verdict, REGISTRY_REFUSED);
    ck_assert_int_eq(answer.refusal, TUNNEL_REFUSAL_DENIED);
    registry_bury(registry, entry, &(struct tunnel_reset){.reason = TUNNEL_END_FINISHED}, 1000);
    answer = registry_resume(registry, &resume, INSTANCE);
    ck_assert_int_eq(answer.verdict, REGISTRY_REFUSED);
    ck_assert_int_eq(answer.refusal, TUNNEL_REFUSAL_DENIED);
    registry_free(registry);
}
END_TEST

START_TEST(a_tombstone_tells_how_it_ended_until_its_time_is_over)
{
    const struct tunnel_reset end = {.reason = TUNNEL_END_EXPIRED,
                                     .outcome = TUNNEL_OUTCOME_COMMITTED,
                                     .xid = 4711,
                                     .text = bytes_of_string("not kept")};
    start();
    struct registry_entry *entry = add(1);
    ck_assert_int_eq(registry_deadline(registry), INT64_MAX);
    registry_bury(registry, entry, &end, 1000);
    ck_assert_uint_eq(registry_counts(registry).live, 0);
    ck_assert_int_eq(try_open(1), TUNNEL_REFUSAL_EXISTS);

    struct registry_answer answer = ask(1, INSTANCE);
    ck_assert_int_eq(answer.verdict, REGISTRY_GONE);
    ck_assert_int_eq(answer.reset.reason, TUNNEL_END_EXPIRED);
    ck_assert_int_eq(answer.reset.outcome, TUNNEL_OUTCOME_COMMITTED);
    ck_assert_uint_eq(answer.reset.xid, 4711);
    ck_assert_uint_eq(answer.reset.text.len, 0);

    ck_assert_int_eq(registry_deadline(registry), 1000);
    registry_sweep(registry, 999);
    ck_assert_uint_eq(registry_counts(registry).tombstones, 1);
    registry_sweep(registry, 1000);
    ck_assert_uint_eq(registry_counts(registry).tombstones, 0);
    ck_assert_ptr_null(find(1));
    registry_free(registry);
}
END_TEST

START_TEST(the_oldest_tombstone_makes_way)
{
    start();
    for (int i = 0; i < 6; i++)
        registry_bury(registry, add(i), &(struct tunnel_reset){.reason = 0}, 1000 + i);
    ck_assert_uint_eq(registry_counts(registry).tombstones, limits.tombstones);
    ck_assert_ptr_null(find(1));
    ck_assert_ptr_nonnull(find(2));
    registry_free(registry);
}
END_TEST

START_TEST(one_detached_session_too_many_costs_the_one_detached_longest)
{
    struct registry_entry *entries[5];

    start();
    for (int i = 0; i < 5; i++)
        entries[i] = add(i);
    ck_assert_ptr_null(registry_detached(registry, entries[0], true));
    ck_assert_ptr_null(registry_detached(registry, entries[1], true));
    ck_assert_ptr_null(registry_detached(registry, entries[2], true));
    registry_attached(registry, entries[0]);
    ck_assert_ptr_null(registry_detached(registry, entries[0], true)); /* now the youngest */
    ck_assert_ptr_eq(registry_detached(registry, entries[3], true), entries[1]);
    registry_bury(registry, entries[1], &(struct tunnel_reset){.reason = TUNNEL_END_LIMIT}, 1);
    ck_assert_uint_eq(registry_counts(registry).detached, 3);
    /* Those that have not logged in do not push out those that have. */
    ck_assert_ptr_null(registry_detached(registry, entries[4], false));
    ck_assert_uint_eq(registry_counts(registry).starting, 1);
    registry_remove(registry, entries[4]);
    ck_assert_uint_eq(registry_counts(registry).starting, 0);
    ck_assert_uint_eq(registry_counts(registry).live, 3);
    registry_free(registry);
}
END_TEST

SUITE("tunnel_registry", TEST(a_session_is_found_by_its_id), TEST(what_cannot_be_opened_is_refused),
      TEST(an_unknown_session_is_answered_by_what_is_known_of_it),
      TEST(a_forged_resume_learns_nothing),
      TEST(a_tombstone_tells_how_it_ended_until_its_time_is_over),
      TEST(the_oldest_tombstone_makes_way),
      TEST(one_detached_session_too_many_costs_the_one_detached_longest))
