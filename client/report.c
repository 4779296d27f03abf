/* Printing a report. */
#include "client/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_string.h"
#include "common/memory.h"
#include "common/printable.h"

#define NAME_WIDTH 10
#define LINES_MAX 64

struct kept {
    enum report_verdict verdict;
    int64_t microseconds;
    char *name;
    char *detail;
    char *fix;
};

struct report {
    bool json;
    bool coloured;
    struct kept lines[LINES_MAX];
    size_t count;
};

/* In the order of enum report_verdict. */
static const struct {
    const char *sign;
    const char *colour; /* ECMA-48, select graphic rendition */
    const char *word;
} verdicts[] = {
    {"\u2713", "32", "passed"},
    {"\u2717", "31", "failed"},
    {"\u2013", "2", "noted"},
    {"!", "33", "worked around"},
};

struct report *report_new(bool json)
{
    struct report *report = mem_new(sizeof *report);
    const char *no_color = getenv("NO_COLOR");

    report->json = json;
    report->coloured = !json && isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
    return report;
}

void report_free(struct report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; i < report->count; i++) {
        free(report->lines[i].name);
        free(report->lines[i].detail);
        free(report->lines[i].fix);
    }
    free(report);
}

/* ---- for people --------------------------------------------------------------------------------
 */

static void print_time(int64_t microseconds)
{
    if (microseconds < 0)
        printf("%9s", "");
    else if (microseconds < 10000)
        printf("%6.1f ms", (double)microseconds / 1000);
    else if (microseconds < 10000000)
        printf("%6lld ms", (long long)(microseconds / 1000));
    else
        printf("%7.1f s", (double)microseconds / 1000000);
}

static void print_line(const struct report *report, const struct kept *line)
{
    const char *colour = verdicts[line->verdict].colour;

    if (report->coloured)
        printf("\033[%sm%s\033[0m", colour, verdicts[line->verdict].sign);
    else
        printf("%s", verdicts[line->verdict].sign);
    printf(" %-*s ", NAME_WIDTH, line->name);
    print_time(line->microseconds);
    printf("  %s\n", line->detail);
    if (line->fix[0] != '\0')
        printf("  %-*s            -> %s\n", NAME_WIDTH, "", line->fix);
    /* A hop may take long; what is known is shown meanwhile. */
    fflush(stdout);
}

/* ---- for machines ------------------------------------------------------------------------------
 */

static void print_member(const char *name, const char *value)
{
    printf(",\"%s\":", name);
    json_print_string(stdout, value);
}

static void print_object(const struct kept *line)
{
    printf("{\"name\":");
    json_print_string(stdout, line->name);
    print_member("result", verdicts[line->verdict].word);
    if (line->microseconds >= 0)
        printf(",\"milliseconds\":%.3f", (double)line->microseconds / 1000);
    print_member("detail", line->detail);
    if (line->fix[0] != '\0')
        print_member("fix", line->fix);
    printf("}");
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

/* Details quote what services and proxies said. */
static char *copy_printable(const char *text)
{
    char *copy = mem_copy_string(text);

    printable_make(copy);
    return copy;
}

void report_add(struct report *report, const struct report_line *line)
{
    struct kept *kept = &report->lines[report->count];

    if (report->count == LINES_MAX)
        return;
    report->count++;
    kept->verdict = line->verdict;
    kept->microseconds = line->microseconds;
    kept->name = mem_copy_string(line->name);
    kept->detail = copy_printable(line->detail);
    kept->fix = copy_printable(line->fix);
    if (!report->json)
        print_line(report, kept);
}

void report_finish(struct report *report, const char *service, enum status status)
{
    if (!report->json)
        return;
    printf("{\"service\":");
    json_print_string(stdout, service);
    printf(",\"ok\":%s,\"hops\":[", status == STATUS_OK ? "true" : "false");
    for (size_t i = 0; i < report->count; i++) {
        if (i > 0)
            putchar(',');
        print_object(&report->lines[i]);
    }
    printf("]}\n");
    fflush(stdout);
}
