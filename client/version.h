/* What --version says of electric-tunnel. */
#ifndef CLIENT_VERSION_H
#define CLIENT_VERSION_H

#include <stdio.h>

void client_print_version(FILE *out);

#endif
