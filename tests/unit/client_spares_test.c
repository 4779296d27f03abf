/* client/spares.c */
#include "client/spares.h"

#include "client/backoff.h"
#include "tests/support/suite.h"

#define WANTED 3
#define FAR 1000000000 /* milliseconds */

static struct spares spares;
static struct spare made[256];
static unsigned made_count;
static unsigned dropped;
static unsigned pinged;
static bool answers; /* whether pings are answered */
static int64_t now;

static void begin(void)
{
    spares_init(&spares, WANTED);
    made_count = dropped = pinged = 0;
    answers = true;
    now = FAR;
}

/* Does what is asked for; answers how many are being made by that. */
static unsigned work(void)
{
    struct spare *spare;
    unsigned before = made_count;

    for (;;) {
        switch (spares_next(&spares, now, &spare)) {
        case SPARES_WAIT:
            return made_count - before;
        case SPARES_MAKE:
            ck_assert_uint_lt(made_count, sizeof made / sizeof made[0]);
            spares_add(&spares, &made[made_count++], now);
            break;
        case SPARES_PING:
            pinged++;
            if (answers)
                spares_heard(spare, now);
            break;
        case SPARES_DROP:
            dropped++;
            break;
        }
    }
}

static void succeed(unsigned from)
{
    for (unsigned i = from; i < made_count; i++)
        spares_ready(&made[i], now, 0);
}

/* All wanted ones are there. */
static void fill(void)
{
    begin();
    ck_assert_uint_eq(work(), WANTED);
    succeed(0);
    ck_assert_uint_eq(work(), 0);
}

/* Lets time pass, doing what is due when it is. */
static void wait_until(int64_t end)
{
    int64_t at;

    while ((at = spares_deadline(&spares, now)) <= end) {
        ck_assert_int_gt(at, now);
        now = at;
        work();
    }
    now = end;
}

START_TEST(as_many_are_made_as_are_wanted)
{
    fill();
    wait_until(now + 60000);
    ck_assert_uint_eq(made_count, WANTED);
    ck_assert_uint_eq(dropped, 0);
}
END_TEST

START_TEST(none_are_made_when_none_are_wanted)
{
    begin();
    spares_init(&spares, 0);
    ck_assert_uint_eq(work(), 0);
    ck_assert_int_eq(spares_deadline(&spares, now), SPARES_NEVER);
    ck_assert_ptr_null(spares_take(&spares, now));
}
END_TEST

START_TEST(one_that_is_taken_is_replaced_at_once)
{
    fill();
    ck_assert_ptr_eq(spares_take(&spares, now), &made[0]);
    ck_assert_ptr_eq(spares_take(&spares, now), &made[1]);
    ck_assert_uint_eq(work(), 2);
    ck_assert_ptr_eq(spares_take(&spares, now), &made[2]);
    ck_assert_ptr_null(spares_take(&spares, now)); /* those are not there yet */
    ck_assert_uint_eq(work(), 1);
}
END_TEST

START_TEST(silent_ones_are_asked_for_a_sign_of_life)
{
    fill();
    wait_until(now + SPARES_PING_AFTER - 1);
    ck_assert_uint_eq(pinged, 0);
    wait_until(now + 1);
    ck_assert_uint_eq(pinged, WANTED);
    wait_until(now + 3 * SPARES_PING_AFTER);
    ck_assert_uint_eq(pinged, 4 * WANTED);
}
END_TEST

START_TEST(those_that_give_none_are_replaced)
{
    fill();
    answers = false;
    wait_until(now + SPARES_SILENT_MAX - 1);
    ck_assert_uint_eq(dropped, 0);
    wait_until(now + 1);
    ck_assert_uint_eq(dropped, WANTED);
    ck_assert_uint_eq(made_count, 2 * WANTED);
}
END_TEST

START_TEST(after_suspension_none_is_used)
{
    fill();
    now += 3600000;
    ck_assert_ptr_null(spares_take(&spares, now));
    ck_assert_uint_eq(work(), WANTED);
    ck_assert_uint_eq(dropped, WANTED);
}
END_TEST

START_TEST(an_old_one_stays_until_its_successor_is_there)
{
    fill();
    wait_until(now + SPARES_REFRESH_MIN - 1);
    ck_assert_uint_eq(made_count, WANTED);
    wait_until(now + 1);
    ck_assert_uint_eq(made_count, 2 * WANTED);
    ck_assert_uint_eq(dropped, 0);
    succeed(WANTED);
    ck_assert_uint_eq(work(), 0);
    ck_assert_uint_eq(dropped, WANTED);
    ck_assert_ptr_eq(spares_take(&spares, now), &made[WANTED]);
}
END_TEST

START_TEST(without_a_successor_an_old_one_is_used_up_to_a_limit)
{
    fill();
    wait_until(now + SPARES_AGE_MAX - 1);
    ck_assert_ptr_eq(spares_take(&spares, now), &made[0]);
    wait_until(now + 1);
    ck_assert_ptr_null(spares_take(&spares, now));
    ck_assert_uint_eq(dropped, WANTED - 1);
}
END_TEST

START_TEST(not_all_are_replaced_at_the_same_time)
{
    struct spare spare = {0};

    begin();
    spares_ready(&spare, now, UINT32_MAX);
    int64_t one = spare.refresh_at;
    spares_ready(&spare, now, 1);
    ck_assert_int_ne(one, spare.refresh_at);
    for (uint32_t random = 0; random < 1000000; random += 999) {
        spares_ready(&spare, now, random);
        ck_assert_int_ge(spare.refresh_at, now + SPARES_REFRESH_MIN);
        ck_assert_int_le(spare.refresh_at, now + SPARES_REFRESH_MAX);
    }
}
END_TEST

START_TEST(a_service_that_is_down_is_tried_ever_more_rarely_by_one_at_a_time)
{
    begin();
    ck_assert_uint_eq(work(), WANTED);
    for (unsigned i = 0; i < WANTED; i++)
        spares_lost(&spares, &made[i], now, 0);
    ck_assert_uint_eq(spares.failures, 1); /* all at once */
    int64_t before = 0;
    for (unsigned i = WANTED; i < WANTED + 20; i++) {
        int64_t wait = spares_deadline(&spares, now) - now;
        ck_assert_int_ge(wait, before);
        before = wait;
        ck_assert_uint_eq(work(), 0);
        now += wait;
        ck_assert_uint_eq(work(), 1);
        ck_assert_int_eq(spares_deadline(&spares, now), SPARES_NEVER);
        spares_lost(&spares, &made[i], now, 0);
    }
    ck_assert_int_eq(before, SPARES_BACKOFF_MAX / 2);
}
END_TEST

START_TEST(a_service_that_is_back_gets_all_of_them_one_after_the_other)
{
    begin();
    work();
    for (unsigned i = 0; i < WANTED; i++)
        spares_lost(&spares, &made[i], now, 0);
    now = spares_deadline(&spares, now);
    for (unsigned i = 0; i < WANTED; i++) {
        ck_assert_uint_eq(work(), 1);
        succeed(made_count - 1);
    }
    ck_assert_uint_eq(work(), 0);
    ck_assert_uint_eq(made_count, 2 * WANTED);
}
END_TEST

START_TEST(a_service_that_keeps_none_is_not_asked_all_the_time)
{
    fill();
    for (unsigned round = 0; round < 20; round++) {
        now += 10000;
        while (spares.first != NULL)
            spares_lost(&spares, spares.first, now, 0);
        int64_t wait = spares_deadline(&spares, now) - now;
        if (round > 12)
            ck_assert_int_ge(wait, SPARES_BACKOFF_MAX / 2);
        now += wait;
        while (work() == 1)
            succeed(made_count - 1);
    }
    ck_assert_uint_eq(made_count, 21 * WANTED);
}
END_TEST

START_TEST(those_that_lasted_are_replaced_at_once_when_they_are_lost)
{
    fill();
    wait_until(now + SPARES_SETTLED);
    for (unsigned i = 0; i < WANTED; i++)
        spares_lost(&spares, &made[i], now, 0);
    ck_assert_uint_eq(work(), WANTED);
}
END_TEST

START_TEST(one_that_lasts_makes_failures_forgotten)
{
    begin();
    work();
    spares_lost(&spares, &made[0], now, 0);
    ck_assert_uint_eq(spares.failures, 1);
    spares_ready(&made[1], now, 0);
    spares_ready(&made[2], now, 0);
    wait_until(now + SPARES_SETTLED);
    work();
    ck_assert_uint_eq(spares.failures, 0);
}
END_TEST

START_TEST(a_service_without_use_for_them_is_left_alone)
{
    begin();
    work();
    for (unsigned i = 0; i < WANTED; i++)
        spares_lost(&spares, &made[i], now, 0);
    spares_pause(&spares, now + 600000);
    ck_assert_uint_eq(work(), 0);
    ck_assert_int_eq(spares_deadline(&spares, now), now + 600000);
    now += 600000;
    ck_assert_uint_eq(work(), WANTED);
}
END_TEST

SUITE("client_spares", TEST(as_many_are_made_as_are_wanted),
      TEST(none_are_made_when_none_are_wanted), TEST(one_that_is_taken_is_replaced_at_once),
      TEST(silent_ones_are_asked_for_a_sign_of_life), TEST(those_that_give_none_are_replaced),
      TEST(after_suspension_none_is_used), TEST(an_old_one_stays_until_its_successor_is_there),
      TEST(without_a_successor_an_old_one_is_used_up_to_a_limit),
      TEST(not_all_are_replaced_at_the_same_time),
      TEST(a_service_that_is_down_is_tried_ever_more_rarely_by_one_at_a_time),
      TEST(a_service_that_is_back_gets_all_of_them_one_after_the_other),
      TEST(a_service_that_keeps_none_is_not_asked_all_the_time),
      TEST(those_that_lasted_are_replaced_at_once_when_they_are_lost),
      TEST(one_that_lasts_makes_failures_forgotten),
      TEST(a_service_without_use_for_them_is_left_alone))
