/* Log lines: formatted on the stack and written with one write(2) each. */
#include "common/log.h"

#include "common/bytes.h"
#include "common/printable.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Longer texts are cut: a line that is one write cannot be of any length. */
#define TEXT_MAX 4096
/* Every byte of the text may become six in JSON. */
#define LINE_MAX_SIZE (6 * TEXT_MAX + 1024)

static struct {
    enum log_level level;
    enum log_format format;
    bool timestamps;
    bool colour;
} config = {.level = LOG_INFO, .format = LOG_TEXT, .timestamps = true};

static const struct {
    const char *name;   /* in JSON */
    const char *column; /* in text, of equal width */
    const char *colour;
} levels[] = {
    [LOG_ERROR] = {"error", "ERROR", "\033[31m"},
    [LOG_WARN] = {"warn", "WARN ", "\033[33m"},
    [LOG_INFO] = {"info", "INFO ", "\033[32m"},
    [LOG_DEBUG] = {"debug", "DEBUG", "\033[2m"},
};

struct line {
    char text[LINE_MAX_SIZE];
    size_t len;
};

void log_setup(enum log_level level, enum log_format format, bool timestamps)
{
    const char *no_color = getenv("NO_COLOR");

    config.level = level;
    config.format = format;
    config.timestamps = timestamps;
    config.colour = isatty(STDERR_FILENO) && (no_color == NULL || *no_color == '\0');
}

bool log_enabled(enum log_level level)
{
    return level <= config.level;
}

static void put(struct line *line, const char *text, size_t len)
{
    /* The last byte is kept for the newline. */
    if (len > sizeof line->text - 1 - line->len)
        len = sizeof line->text - 1 - line->len;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_string(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct line *line, const char *format,
                                                             ...)
{
    char text[64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_string(line, text);
}

static const char *short_escape(uint8_t c)
{
    return c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
}

/* One character, or one byte of what is no UTF-8 (`size` 0), made harmless. */
static void put_escaped(struct line *line, const uint8_t *c, size_t size)
{
    bool json = config.format == LOG_JSON;
    const char *escape = size == 1 ? short_escape(c[0]) : NULL;

    if (escape != NULL)
        put_string(line, escape);
    else if (json && size == 0)
        put_string(line, "\\ufffd");
    else if (json && printable_is_control(c, size))
        put_format(line, "\\u%04x", (unsigned)(size == 2 ? c[1] : c[0]));
    else if (json && size == 1 && (c[0] == '"' || c[0] == '\\'))
        put_format(line, "\\%c", c[0]);
    else if (size == 0 || (size == 1 && printable_is_control(c, size)))
        put_format(line, "\\x%02x", (unsigned)c[0]);
    else if (printable_is_control(c, size))
        put_format(line, "\\u%04x", (unsigned)c[1]);
    else
        put(line, (const char *)c, size);
}

static void put_text(struct line *line, const char *text)
{
    for (struct bytes rest = bytes_of_string(text); rest.len > 0;) {
        size_t size = bytes_utf8_char(rest);
        put_escaped(line, rest.data, size);
        rest = bytes_skip(rest, size == 0 ? 1 : size);
    }
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char date[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    put_format(line, "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

/* 2026-01-31T09:30:00.123Z INFO  session 42 10.0.0.7: text */
static void build_text(struct line *line, enum log_level level, const struct log_context *context,
                       const char *text)
{
    if (config.timestamps) {
        put_time(line);
        put_string(line, " ");
    }
    put_string(line, config.colour ? levels[level].colour : "");
    put_string(line, levels[level].column);
    put_string(line, config.colour ? "\033[0m " : " ");

    size_t start = line->len;
    if (context->role != NULL)
        put_text(line, context->role);
    if (context->id != 0)
        put_format(line, "%s%llu", line->len > start ? " " : "", context->id);
    if (context->peer != NULL) {
        put_string(line, line->len > start ? " " : "");
        put_text(line, context->peer);
    }
    if (line->len > start)
        put_string(line, ": ");
    put_text(line, text);
}

static void put_member(struct line *line, const char *name, const char *value)
{
    if (value == NULL)
        return;
    put_string(line, line->len > 1 ? ",\"" : "\"");
    put_string(line, name);
    put_string(line, "\":\"");
    put_text(line, value);
    put_string(line, "\"");
}

static void build_json(struct line *line, enum log_level level, const struct log_context *context,
                       const char *text)
{
    put_string(line, "{");
    if (config.timestamps) {
        put_string(line, "\"time\":\"");
        put_time(line);
        put_string(line, "\"");
    }
    put_member(line, "level", levels[level].name);
    put_member(line, "role", context->role);
    if (context->id != 0)
        put_format(line, ",\"id\":%llu", context->id);
    put_member(line, "peer", context->peer);
    put_member(line, "message", text);
    put_string(line, "}");
}

static void write_line(struct line *line)
{
    line->text[line->len++] = '\n';
    /* A log that cannot be written has nobody to tell, and a rest after a short write would be
     * mixed with other lines. */
    ssize_t written;
    do
        written = write(STDERR_FILENO, line->text, line->len);
    while (written < 0 && errno == EINTR);
}

__attribute__((format(printf, 3, 0))) static void log_line(enum log_level level,
                                                           const struct log_context *context,
                                                           const char *format, va_list arguments)
{
    static const struct log_context nobody;
    int saved = errno; /* callers may look at it after logging */
    char text[TEXT_MAX];
    struct line line;

    if (!log_enabled(level))
        return;
    line.len = 0;
    if (context == NULL)
        context = &nobody;
    int len = vsnprintf(text, sizeof text, format, arguments);
    if (len < 0)
        text[0] = '\0';
    else if ((size_t)len >= sizeof text)
        strcpy(text + bytes_utf8_cut(bytes_of(text, sizeof text - 1), sizeof text - 4), "…");

    if (config.format == LOG_JSON)
        build_json(&line, level, context, text);
    else
        build_text(&line, level, context, text);
    write_line(&line);
    errno = saved;
}

/* The four levels differ in name only, so that call sites read as sentences. */
#define LOG_FUNCTION(name, level)                                         \
    void name(const struct log_context *context, const char *format, ...) \
    {                                                                     \
        va_list arguments;                                                \
        va_start(arguments, format);                                      \
        log_line(level, context, format, arguments);                      \
        va_end(arguments);                                                \
    }

LOG_FUNCTION(log_error, LOG_ERROR)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)
