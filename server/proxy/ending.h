/* Whether a text ends the transaction it is run in: told from its first words, never a verdict. */
#ifndef SERVER_PROXY_ENDING_H
#define SERVER_PROXY_ENDING_H

#include "common/bytes.h"

enum ending {
    ENDING_NONE,
    ENDING_ROLLBACK,
    ENDING_COMMIT,  /* and what comes behind it, if anything, is in another transaction */
    ENDING_PERHAPS, /* somewhere in it, or not for good: PREPARE TRANSACTION */
};

enum ending ending_of(struct bytes text);

#endif
