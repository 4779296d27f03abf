/* A `check` suite from a list of tests, so that a test file ends in one macro and no main().
 *
 *     START_TEST(an_empty_queue_gives_nothing) { … } END_TEST
 *     START_TEST(every_prefix_asks_for_more) { … _i … } END_TEST
 *
 *     SUITE("buffer", TEST(an_empty_queue_gives_nothing), LOOP(every_prefix_asks_for_more, 0, 12))
 */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stddef.h>

struct suite_test {
    const TTest *test;
    int from, to; /* _i in the test; `to` is not reached */
};

#define TEST(name) ((struct suite_test){(name), 0, 1})
#define LOOP(name, from, to) ((struct suite_test){(name), (from), (to)})

#define SUITE(name, ...)                                               \
    int main(void)                                                     \
    {                                                                  \
        const struct suite_test tests[] = {__VA_ARGS__};               \
        return suite_run(name, tests, sizeof tests / sizeof tests[0]); \
    }

/* The exit code of the program; each test runs in a process of its own. */
int suite_run(const char *name, const struct suite_test *tests, size_t count);

#endif
