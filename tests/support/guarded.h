/* Copies that end at an unreadable page, so that reading one byte too far crashes at once. */
#ifndef TESTS_SUPPORT_GUARDED_H
#define TESTS_SUPPORT_GUARDED_H

#include "common/bytes.h"

/* Writable copy; with `len` 0 the view points at the unreadable page itself. Aborts when memory is
 * gone. To be given to guarded_free() where a test makes thousands. */
struct bytes guarded_copy(const void *data, size_t len);
void guarded_free(struct bytes copy);

#endif
