/* Text from elsewhere, on its way to a terminal. */
#ifndef COMMON_PRINTABLE_H
#define COMMON_PRINTABLE_H

#include "common/bytes.h"

/* Whether a terminal may obey the UTF-8 character of `size` bytes at `c`: C0, DEL, and C1, whose
 * U+009B starts terminal sequences as ESC [ does. */
bool printable_is_control(const uint8_t *c, size_t size);

/* Blanks what a terminal may obey, and puts a question mark for each byte that is no UTF-8. */
void printable_make(char *text);

#endif
