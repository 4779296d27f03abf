/* Making text harmless. */
#include "common/printable.h"

#include <string.h>

bool printable_is_control(const uint8_t *c, size_t size)
{
    return (size == 1 && (c[0] < 0x20 || c[0] == 0x7F)) ||
           (size == 2 && c[0] == 0xC2 && c[1] < 0xA0);
}

void printable_make(char *text)
{
    while (*text != '\0') {
        const uint8_t *c = (const uint8_t *)text;
        size_t size = bytes_utf8_char(bytes_of_string(text));

        if (size == 0) {
            *text = '?';
            size = 1;
        } else if (printable_is_control(c, size)) {
            memset(text, ' ', size);
        }
        text += size;
    }
}
