/* Runs a list of tests as one `check` suite. */
#include "tests/support/suite.h"

#include <stdlib.h>

enum { TIMEOUT_SECONDS = 60 };

int suite_run(const char *name, const struct suite_test *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);

    tcase_set_timeout(cases, TIMEOUT_SECONDS);
    for (size_t i = 0; i < count; i++)
        tcase_add_loop_test(cases, tests[i].test, tests[i].from, tests[i].to);
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
