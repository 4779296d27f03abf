/* client/loop.c */
#include "client/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/suite.h"

static struct loop *loop;

static void set_up(void)
{
    loop = loop_new();
}

/* ---- timers ---- */

#define TIMERS 200

static int64_t fired[TIMERS + 1];
static size_t fired_count;

/* The same numbers everywhere (Numerical Recipes' generator). */
static unsigned random_below(unsigned limit)
{
    static uint32_t state;

    state = state * 1664525u + 1013904223u;
    return (state >> 16) % limit;
}

static void on_time(struct loop_timer *timer)
{
    fired[fired_count++] = timer->at;
    if (timer->owner != NULL)
        loop_stop(loop);
}

START_TEST(timers_fire_in_order_whatever_is_stopped_or_moved) /* _i: which numbers */
{
    static struct loop_timer timers[TIMERS];
    struct loop_timer last = {.on_time = on_time, .owner = &last};
    size_t expected = 0;

    set_up();
    for (int i = 0; i < _i; i++)
        random_below(2);
    for (size_t i = 0; i < TIMERS; i++) {
        timers[i] = (struct loop_timer){.on_time = on_time};
        loop_timer_set(loop, &timers[i], random_below(20));
    }
    for (size_t i = 0; i < TIMERS; i++) {
        unsigned what = random_below(3);

        if (what == 0)
            loop_timer_stop(loop, &timers[i]);
        else if (what == 1)
            loop_timer_set(loop, &timers[i], random_below(20));
        expected += what != 0;
    }
    loop_timer_set(loop, &last, 25);
    loop_run(loop);
    ck_assert_uint_eq(fired_count, expected + 1);
    for (size_t i = 1; i < fired_count; i++)
        ck_assert_int_le(fired[i - 1], fired[i]);
    loop_free(loop);
}
END_TEST

START_TEST(stopping_a_timer_that_does_not_run_is_harmless)
{
    struct loop_timer timer = {.on_time = on_time};

    set_up();
    loop_timer_stop(loop, &timer);
    loop_timer_set(loop, &timer, 5);
    loop_timer_stop(loop, &timer);
    loop_timer_stop(loop, &timer);
    loop_free(loop);
}
END_TEST

/* ---- tasks ---- */

static int runs;
static struct loop_task other = {0};

static void run_once(struct loop_task *task)
{
    runs++;
    if (task->owner != NULL && runs < 3)
        loop_defer(loop, task); /* in the next turn */
    else
        loop_stop(loop);
}

START_TEST(a_task_that_defers_itself_runs_in_the_next_turn)
{
    struct loop_task task = {.run = run_once, .owner = &runs};

    set_up();
    loop_defer(loop, &task);
    loop_defer(loop, &task);
    loop_run(loop);
    ck_assert_int_eq(runs, 3);
    loop_free(loop);
}
END_TEST

static void cancel_other(struct loop_task *task)
{
    (void)task;
    loop_task_cancel(loop, &other);
    loop_stop(loop);
}

START_TEST(a_task_may_cancel_another_of_the_same_turn)
{
    struct loop_task task = {.run = cancel_other};

    set_up();
    other.run = run_once;
    loop_defer(loop, &other);
    loop_defer(loop, &task); /* the newest runs first */
    loop_run(loop);
    ck_assert_int_eq(runs, 0);
    ck_assert(!other.queued);
    loop_free(loop);
}
END_TEST

/* ---- descriptors ---- */

static struct loop_watch watches[2];
static int delivered;

static void close_both(struct loop_watch *watch, unsigned events)
{
    (void)watch;
    ck_assert(events & LOOP_READ);
    delivered++;
    loop_watch_close(loop, &watches[0]);
    loop_watch_close(loop, &watches[1]);
    loop_stop(loop);
}

START_TEST(an_event_of_this_turn_is_dropped_when_its_watch_is_closed)
{
    int peers[2];

    set_up();
    for (int i = 0; i < 2; i++) {
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        watches[i] = (struct loop_watch){.fd = pair[0], .on_ready = close_both};
        peers[i] = pair[1];
        ck_assert(loop_watch_set(loop, &watches[i], LOOP_READ));
        ck_assert_int_eq(write(pair[1], "x", 1), 1);
    }
    loop_run(loop);
    ck_assert_int_eq(delivered, 1);
    ck_assert_int_eq(watches[0].fd, -1);
    close(peers[0]);
    close(peers[1]);
    loop_free(loop);
}
END_TEST

static void only_stop(struct loop_watch *watch, unsigned events)
{
    (void)watch;
    ck_assert_uint_eq(events, LOOP_READ | LOOP_ERROR);
    loop_stop(loop);
}

START_TEST(a_hang_up_shows_as_what_was_asked_for)
{
    int pair[2];
    struct loop_watch watch = {.on_ready = only_stop};

    set_up();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    watch.fd = pair[0];
    close(pair[1]);
    ck_assert(loop_watch_set(loop, &watch, LOOP_READ));
    loop_run(loop);
    loop_watch_close(loop, &watch);
    loop_watch_close(loop, &watch);
    loop_free(loop);
}
END_TEST

/* ---- signals ---- */

static int got_signal;

static void on_signal(void *owner, int number)
{
    ck_assert_ptr_eq(owner, &got_signal);
    got_signal = number;
    loop_stop(loop);
}

START_TEST(a_signal_is_delivered_in_the_loop)
{
    set_up();
    loop_on_signals(loop, on_signal, &got_signal);
    raise(SIGTERM);
    loop_run(loop);
    ck_assert_int_eq(got_signal, SIGTERM);
    loop_free(loop);
}
END_TEST

SUITE("client_loop", LOOP(timers_fire_in_order_whatever_is_stopped_or_moved, 0, 20),
      TEST(stopping_a_timer_that_does_not_run_is_harmless),
      TEST(a_task_that_defers_itself_runs_in_the_next_turn),
      TEST(a_task_may_cancel_another_of_the_same_turn),
      TEST(an_event_of_this_turn_is_dropped_when_its_watch_is_closed),
      TEST(a_hang_up_shows_as_what_was_asked_for), TEST(a_signal_is_delivered_in_the_loop))
