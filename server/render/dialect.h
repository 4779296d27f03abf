/* The dialects: each turns a plan into a script. */
#ifndef SERVER_RENDER_DIALECT_H
#define SERVER_RENDER_DIALECT_H

#include "server/render/script.h"

void sqlite_render(const struct plan *plan, struct script *script);
void postgres_render(const struct plan *plan, struct script *script);

/* Opens the group of a step that changes a table: steps of one statement go together. */
void dialect_open_change(const struct plan *plan, size_t step, struct script *script);

#endif
