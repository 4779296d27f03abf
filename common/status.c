/* Statuses, their names and texts, and the filling of error descriptions. */
#include "common/status.h"

#include "common/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_name(enum status status)
{
    switch (status) {
#define STATUS_NAME(name, text) \
    case STATUS_##name:         \
        return #name;
        STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    }
    return "UNKNOWN";
}

const char *status_text(enum status status)
{
    switch (status) {
#define STATUS_TEXT(name, text) \
    case STATUS_##name:         \
        return text;
        STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "an unknown failure";
}

/* The format comes from our own callers, each checked by the attribute in the header. */
__attribute__((format(printf, 3, 0))) static void fill(char *out, size_t size, const char *format,
                                                       va_list arguments)
{
    int wanted = vsnprintf(out, size, format, arguments);

    if (wanted < 0)
        out[0] = '\0';
    else if ((size_t)wanted >= size)
        out[bytes_utf8_cut(bytes_of(out, size - 1), size - 1)] = '\0';
}

enum status error_set(struct error *error, enum status status, const char *sqlstate,
                      const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return status;

    /* The message may quote the error's own old text, so it is built aside. */
    char message[sizeof error->message];
    va_start(arguments, format);
    fill(message, sizeof message, format, arguments);
    va_end(arguments);

    *error = (struct error){.status = status};
    memcpy(error->message, message, sizeof message);
    strncpy(error->sqlstate, sqlstate, sizeof error->sqlstate - 1);
    return status;
}

void error_hint(struct error *error, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return;
    va_start(arguments, format);
    fill(error->hint, sizeof error->hint, format, arguments);
    va_end(arguments);
}
