/* The SQL of the schema `electric`, embedded when the program is built.
 *
 * Two kinds of scripts. A *step* is numbered, changes what is stored and runs once in each
 * database. *Functions* hold CREATE OR REPLACE and the privileges; they run again, all of them,
 * whenever their hash differs from the one stored. A change of functions that older servers must
 * not undo, a changed signature and a function that goes away therefore come with a step of their
 * own. */
#ifndef SERVER_SQL_BUNDLE_H
#define SERVER_SQL_BUNDLE_H

#include <stddef.h>

struct sql_script {
    const char *name; /* the file's name without .sql */
    const char *text; /* ASCII; several statements */
};

struct sql_bundle {
    const struct sql_script *steps; /* step number n is steps[n - 1] */
    size_t step_count;
    const struct sql_script *functions; /* in the order they must run */
    size_t function_count;
    const char *functions_hash; /* SHA-256 over names and texts, in hex */
    const struct sql_script
        *clear_companion; /* for the companion database, where there is no such schema */
};

extern const struct sql_bundle sql_bundle;

#endif
