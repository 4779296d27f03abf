/* Escapes. */
#include "common/json_string.h"

#include "common/bytes.h"

void json_print_string(FILE *out, const char *text)
{
    struct bytes rest = bytes_of_string(text);

    putc('"', out);
    while (rest.len > 0) {
        size_t size = bytes_utf8_char(rest);
        uint8_t c = rest.data[0];

        if (size == 0)
            putc('?', out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fwrite(rest.data, 1, size, out);
        rest = bytes_skip(rest, size == 0 ? 1 : size);
    }
    putc('"', out);
}
