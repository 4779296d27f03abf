/* Text as a JSON string (RFC 8259, section 7), for the few lines that are written without a
 * library.
 */
#ifndef COMMON_JSON_STRING_H
#define COMMON_JSON_STRING_H

#include <stdio.h>

/* In quotation marks. Bytes that are no UTF-8 become question marks. */
void json_print_string(FILE *out, const char *text);

#endif
