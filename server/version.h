/* What --version says of electric-proxy. */
#ifndef SERVER_VERSION_H
#define SERVER_VERSION_H

#include <stdio.h>

void server_print_version(FILE *out);

#endif
