/* The lines of `electric-tunnel check`: a table for people, printed as it grows, or one line of
 * JSON at the end. On standard output. */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

enum report_verdict {
    REPORT_PASSED,
    REPORT_FAILED,
    REPORT_NOTED,  /* neither good nor bad, or not looked at */
    REPORT_WORKED, /* failed, but something else takes its place */
};

/* Strings are copied. */
struct report_line {
    const char *name; /* of the hop: "TLS" */
    enum report_verdict verdict;
    int64_t microseconds; /* negative: it took none worth telling */
    const char *detail;   /* "" or what was found */
    const char *fix;      /* "" or what to do about it, a sentence */
};

struct report;

struct report *report_new(bool json);
/* NULL-safe. */
void report_free(struct report *report);

void report_add(struct report *report, const struct report_line *line);
/* The last word: prints what is not printed yet. `status`: STATUS_OK when all is well. */
void report_finish(struct report *report, const char *service, enum status status);

#endif
