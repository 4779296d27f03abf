/* Expressions in SQLite's words, and what Postgres's own words presume. */
#include "server/render/expression.h"

#include "server/render/expression_tree.h"
#include "server/render/sql.h"
#include "server/render/token.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Collations that every Postgres has, whatever it was built with. */
static const char *const common_collations[] = {"C", "POSIX", "default", "ucs_basic"};

/* -- writing ----------------------------------------------------------------------------------- */

static void write_node(struct buffer *sql, const struct node *node);

static void write_list(struct buffer *sql, const struct node *first)
{
    sql_append(sql, "(");
    for (const struct node *node = first; node != NULL; node = node->next) {
        write_node(sql, node);
        if (node->next != NULL)
            sql_append(sql, ", ");
    }
    sql_append(sql, ")");
}

/* What binds looser than a comma, without parentheses of its own. */
static void write_operator(struct buffer *sql, const struct node *node)
{
    if (node->kind == NODE_PREFIX) {
        sql_append(sql, node->text);
        sql_append(sql, " ");
        write_node(sql, node->operands);
        return;
    }
    write_node(sql, node->operands);
    sql_append(sql, " ");
    sql_append(sql, node->text);
    if (node->kind == NODE_TEST)
        return;
    sql_append(sql, " ");
    if (node->kind == NODE_IN)
        write_list(sql, node->operands->next);
    else
        write_node(sql, node->operands->next);
}

static void write_node(struct buffer *sql, const struct node *node)
{
    switch (node->kind) {
    case NODE_COLUMN:
        sql_identifier(sql, node->text);
        break;
    case NODE_STRING:
        sql_literal(sql, node->text);
        break;
    case NODE_NUMBER:
    case NODE_WORD:
        sql_append(sql, node->text);
        break;
    case NODE_PREFIX:
    case NODE_BINARY:
    case NODE_TEST:
    case NODE_IN:
        sql_append(sql, "(");
        write_operator(sql, node);
        sql_append(sql, ")");
        break;
    case NODE_CALL:
        sql_append(sql, node->text);
        write_list(sql, node->operands);
        break;
    case NODE_CAST:
        sql_append(sql, "CAST(");
        write_node(sql, node->operands);
        sql_append(sql, " AS ");
        sql_append(sql, node->text);
        sql_append(sql, ")");
        break;
    }
}

const char *expression_to_sqlite(const char *expression, const struct model_table *table,
                                 struct arena *arena, struct buffer *sql)
{
    const char *reason;
    const struct node *tree = expression_parse(expression, table, arena, &reason);

    if (tree == NULL)
        return reason;
    if (tree->kind == NODE_TEST)
        write_operator(sql, tree); /* alone it needs no parentheses */
    else
        write_node(sql, tree);
    return NULL;
}

/* -- the same for Postgres --------------------------------------------------------------------- */

static bool is_common_collation(const struct token *token)
{
    for (size_t i = 0; i < COUNT(common_collations); i++) {
        if (strcmp(common_collations[i], token->text) == 0)
            return true;
    }
    return false;
}

const char *expression_find_foreign(const char *expression, const struct model_table *table,
                                    struct arena *arena)
{
    const struct token *tokens = token_split(expression, arena);

    if (tokens == NULL)
        return "no translation of an expression like this";
    /* With nothing but pg_catalog in the search path, what is from elsewhere has its schema. */
    for (size_t i = 0; tokens[i].kind != TOKEN_END; i++) {
        if (token_is(&tokens[i], ".") &&
            !(i >= 2 && token_is(&tokens[i - 2], "::") &&
              model_has_enum(table, tokens[i - 1].text, tokens[i + 1].text)))
            return arena_format(arena, "%s.%s may not be there", i > 0 ? tokens[i - 1].text : "",
                                tokens[i + 1].text);
        if (token_is(&tokens[i], "COLLATE") && !is_common_collation(&tokens[i + 1]))
            return arena_format(arena, "collation %s may not be there", tokens[i + 1].text);
        /* 'name'::regconfig and its like. */
        if (i >= 2 && token_is(&tokens[i - 1], "::") && strncmp(tokens[i].text, "reg", 3) == 0 &&
            strchr(tokens[i - 2].text, '.') != NULL)
            return arena_format(arena, "%s may not be there", tokens[i - 2].text);
    }
    return NULL;
}
