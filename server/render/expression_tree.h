/* Expressions of indexes as trees. */
#ifndef SERVER_RENDER_EXPRESSION_TREE_H
#define SERVER_RENDER_EXPRESSION_TREE_H

#include "server/render/model.h"

enum family { FAMILY_OTHER, FAMILY_BOOLEAN, FAMILY_INTEGER, FAMILY_REAL, FAMILY_TEXT };

enum node_kind {
    NODE_COLUMN,
    NODE_STRING, /* of a type not known yet, or text */
    NODE_NUMBER,
    NODE_WORD,   /* NULL, 1 for true, x'00' */
    NODE_PREFIX, /* operator, operand */
    NODE_BINARY, /* operator, two operands */
    NODE_TEST,   /* IS …, operand */
    NODE_CALL,   /* function, arguments */
    NODE_CAST,   /* type, operand */
    NODE_IN,     /* IN or NOT IN; what is looked for, and where */
};

struct node {
    enum node_kind kind;
    enum family family;
    const char *text;
    struct node *operands; /* the first; the others follow it */
    struct node *next;
};

/* Reads what Postgres prints. NULL when it is not all understood, or names no column of `table`;
 * `reason` then says why. Everything is in `arena`. */
const struct node *expression_parse(const char *expression, const struct model_table *table,
                                    struct arena *arena, const char **reason);

#endif
