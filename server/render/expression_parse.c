/* A recursive descent through what Postgres prints; trees are small and their depth is bounded.
 *
 * Only names from fixed lists pass. In an index a difference of meaning costs speed at most; what
 * SQLite does not know, or may fail to compute, would break every write to the table. */
#include "server/render/expression_tree.h"
#include "server/render/token.h"

#include <string.h>

/* SQLite's own limit of depth is 1000. */
enum { NODES_MAX = 500, DEPTH_MAX = 100 };

struct parser {
    const struct token *at;
    const struct model_table *table;
    struct arena *arena;
    const char *reason; /* why it cannot go on; the first counts */
    unsigned nodes, depth;
    bool has_column;
};

/* Of the same precedence from left to right. */
static const struct binary_operator {
    const char *postgres, *sqlite;
    int precedence;
    enum family family; /* FAMILY_OTHER: as the left operand */
} binary_operators[] = {
    {"OR", "OR", 1, FAMILY_BOOLEAN}, {"AND", "AND", 2, FAMILY_BOOLEAN},
    {"=", "=", 5, FAMILY_BOOLEAN},   {"<>", "<>", 5, FAMILY_BOOLEAN},
    {"<", "<", 5, FAMILY_BOOLEAN},   {"<=", "<=", 5, FAMILY_BOOLEAN},
    {">", ">", 5, FAMILY_BOOLEAN},   {">=", ">=", 5, FAMILY_BOOLEAN},
    {"||", "||", 6, FAMILY_TEXT},    {"+", "+", 7, FAMILY_OTHER},
    {"-", "-", 7, FAMILY_OTHER},     {"*", "*", 8, FAMILY_OTHER},
    {"/", "/", 8, FAMILY_OTHER},     {"%", "%", 8, FAMILY_OTHER},
};
enum { PRECEDENCE_ANY = 0, PRECEDENCE_NOT = 3, PRECEDENCE_IS = 4 };

static const struct function {
    const char *postgres, *sqlite;
    unsigned min, max;  /* arguments */
    enum family family; /* FAMILY_OTHER: as the first argument */
    bool counts;        /* all arguments but the first are numbers */
} functions[] = {
    {"lower", "lower", 1, 1, FAMILY_TEXT, false},
    {"upper", "upper", 1, 1, FAMILY_TEXT, false},
    {"length", "length", 1, 1, FAMILY_INTEGER, false},
    {"char_length", "length", 1, 1, FAMILY_INTEGER, false},
    {"character_length", "length", 1, 1, FAMILY_INTEGER, false},
    {"abs", "abs", 1, 1, FAMILY_OTHER, false},
    {"round", "round", 1, 2, FAMILY_REAL, true},
    {"COALESCE", "coalesce", 2, 100, FAMILY_OTHER, false},
    {"NULLIF", "nullif", 2, 2, FAMILY_OTHER, false},
    {"btrim", "trim", 1, 2, FAMILY_TEXT, false},
    {"ltrim", "ltrim", 1, 2, FAMILY_TEXT, false},
    {"rtrim", "rtrim", 1, 2, FAMILY_TEXT, false},
    {"replace", "replace", 3, 3, FAMILY_TEXT, false},
    {"substr", "substr", 2, 3, FAMILY_TEXT, true},
    {"substring", "substr", 2, 3, FAMILY_TEXT, true},
};

/* What a cast to the type becomes. */
static const struct cast {
    const char *type;
    enum family family;
    const char *sqlite; /* NULL: only literals can be cast */
} casts[] = {
    {"text", FAMILY_TEXT, "TEXT"},
    {"character varying", FAMILY_TEXT, "TEXT"},
    {"smallint", FAMILY_INTEGER, "INTEGER"},
    {"integer", FAMILY_INTEGER, "INTEGER"},
    {"bigint", FAMILY_INTEGER, "INTEGER"},
    {"real", FAMILY_REAL, "REAL"},
    {"double precision", FAMILY_REAL, "REAL"},
    {"numeric", FAMILY_REAL, "REAL"},
    {"uuid", FAMILY_TEXT, NULL},
    {"date", FAMILY_TEXT, NULL},
    {"time without time zone", FAMILY_TEXT, NULL},
    {"timestamp without time zone", FAMILY_TEXT, NULL},
    {"timestamp with time zone", FAMILY_TEXT, NULL},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct node *parse_binary(struct parser *parser, int precedence);

/* -- helpers ----------------------------------------------------------------------------------- */

static struct node *fail(struct parser *parser, const char *what, const char *name)
{
    if (parser->reason == NULL)
        parser->reason = arena_format(parser->arena, "no translation of %s %s", what, name);
    return NULL;
}

static bool accept(struct parser *parser, const char *text)
{
    if (!token_is(parser->at, text))
        return false;
    parser->at++;
    return true;
}

static bool expect(struct parser *parser, const char *text)
{
    if (accept(parser, text))
        return true;
    fail(parser, "the expression at", parser->at->text[0] == '\0' ? "its end" : parser->at->text);
    return false;
}

static struct node *new_node(struct parser *parser, enum node_kind kind, enum family family,
                             const char *text, struct node *operands)
{
    struct node *node = arena_new(parser->arena, sizeof *node);

    if (++parser->nodes > NODES_MAX)
        return fail(parser, "expressions of", "such a size");
    *node = (struct node){kind, family, text, operands, NULL};
    return node;
}

/* -- literals and casts ------------------------------------------------------------------------ */

static bool is_number(const char *text)
{
    static const char digits[] = "0123456789";
    size_t at = strspn(text, "-") <= 1 ? strspn(text, "-") : 0;
    size_t whole = strspn(text + at, digits);

    at += whole;
    if (whole == 0)
        return false;
    if (text[at] == '.')
        at += 1 + strspn(text + at + 1, digits);
    if (text[at] == 'e') {
        at += text[at + 1] == '-' || text[at + 1] == '+' ? 2 : 1;
        size_t exponent = strspn(text + at, digits);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return text[at] == '\0';
}

static bool is_bytea(const char *text)
{
    if (strncmp(text, "\\x", 2) != 0)
        return false;
    size_t len = strspn(text + 2, "0123456789abcdef");
    return text[2 + len] == '\0' && len % 2 == 0;
}

/* A type's name, several words or one with its schema; "[]" for any array. */
static const char *parse_type(struct parser *parser)
{
    static const char *const longer[] = {"varying", "precision", "without", "with", "time", "zone"};
    const char *name = parser->at->text;

    if (parser->at->kind != TOKEN_WORD && parser->at->kind != TOKEN_QUOTED)
        return "";
    parser->at++;
    if (accept(parser, ".")) {
        const char *own = parser->at->text;
        bool is_enum = model_has_enum(parser->table, name, own);
        parser->at += parser->at->kind != TOKEN_END;
        name = is_enum ? "text" : own;
    }
    for (size_t i = 0; i < COUNT(longer);) {
        if (accept(parser, longer[i])) {
            name = arena_format(parser->arena, "%s %s", name, longer[i]);
            i = 0;
        } else {
            i++;
        }
    }
    if (accept(parser, "["))
        return expect(parser, "]") ? "[]" : "";
    return name;
}

static struct node *cast_literal(struct parser *parser, struct node *node, const char *type,
                                 const struct cast *cast)
{
    if (cast != NULL && cast->family == FAMILY_TEXT) {
        node->family = FAMILY_TEXT;
        return node;
    }
    if (cast != NULL && is_number(node->text))
        return new_node(parser, NODE_NUMBER, cast->family, node->text, NULL);
    if (strcmp(type, "bytea") == 0 && is_bytea(node->text)) {
        const char *text = arena_format(parser->arena, "x'%s'", node->text + 2);
        return new_node(parser, NODE_WORD, FAMILY_OTHER, text, NULL);
    }
    return fail(parser, "a literal of type", type);
}

/* In SQLite most values are of the type already. */
static struct node *cast_value(struct parser *parser, struct node *node, const char *type,
                               const struct cast *cast)
{
    if (cast == NULL || cast->sqlite == NULL || node->family == FAMILY_BOOLEAN ||
        (node->family == FAMILY_OTHER && node->kind != NODE_WORD))
        return fail(parser, "a cast to type", type);
    if (node->family == cast->family || node->kind == NODE_WORD ||
        (node->family == FAMILY_INTEGER && cast->family == FAMILY_REAL))
        return node;
    return new_node(parser, NODE_CAST, cast->family, cast->sqlite, node);
}

static struct node *parse_cast(struct parser *parser, struct node *node)
{
    const char *type = parse_type(parser);
    const struct cast *cast = NULL;

    for (size_t i = 0; i < COUNT(casts); i++) {
        if (strcmp(casts[i].type, type) == 0)
            cast = &casts[i];
    }
    return node->kind == NODE_STRING ? cast_literal(parser, node, type, cast)
                                     : cast_value(parser, node, type, cast);
}

/* -- calls ------------------------------------------------------------------------------------- */

static struct node *make_call(struct parser *parser, const char *name, struct node *arguments)
{
    const struct function *function = NULL;
    unsigned count = 0;
    bool counts = true;

    for (size_t i = 0; i < COUNT(functions); i++) {
        if (strcmp(functions[i].postgres, name) == 0)
            function = &functions[i];
    }
    for (const struct node *argument = arguments; argument != NULL; argument = argument->next) {
        counts = counts && (count == 0 || argument->family == FAMILY_INTEGER);
        count++;
    }
    if (function == NULL || count < function->min || count > function->max ||
        (function->counts && !counts))
        return fail(parser, "function", name);
    enum family family = function->family == FAMILY_OTHER ? arguments->family : function->family;
    return new_node(parser, NODE_CALL, family, function->sqlite, arguments);
}

/* Comma-separated, up to `end`. */
static struct node *parse_list(struct parser *parser, const char *end)
{
    struct node *first = NULL;
    struct node **last = &first;

    do {
        *last = parse_binary(parser, PRECEDENCE_ANY);
        if (*last == NULL)
            return NULL;
        last = &(*last)->next;
    } while (accept(parser, ","));
    return expect(parser, end) ? first : NULL;
}

/* SUBSTRING(text FROM from FOR count) */
static struct node *parse_substring(struct parser *parser)
{
    struct node *arguments = parse_binary(parser, PRECEDENCE_ANY);

    if (arguments == NULL || !expect(parser, "FROM"))
        return NULL;
    arguments->next = parse_binary(parser, PRECEDENCE_ANY);
    if (arguments->next != NULL && accept(parser, "FOR"))
        arguments->next->next = parse_binary(parser, PRECEDENCE_ANY);
    if (parser->reason != NULL || !expect(parser, ")"))
        return NULL;
    return make_call(parser, "substring", arguments);
}

/* TRIM(LEADING characters FROM text) */
static struct node *parse_trim(struct parser *parser)
{
    const char *name = accept(parser, "LEADING")    ? "ltrim"
                       : accept(parser, "TRAILING") ? "rtrim"
                                                    : "btrim";
    struct node *characters = NULL;

    accept(parser, "BOTH");
    if (!token_is(parser->at, "FROM"))
        characters = parse_binary(parser, PRECEDENCE_ANY);
    if (parser->reason != NULL || !expect(parser, "FROM"))
        return NULL;
    struct node *text = parse_binary(parser, PRECEDENCE_ANY);
    if (text == NULL || !expect(parser, ")"))
        return NULL;
    text->next = characters;
    return make_call(parser, name, text);
}

/* -- operands ---------------------------------------------------------------------------------- */

static enum family family_of(const struct model_column *column)
{
    if (strcmp(column->type->name, "bool") == 0)
        return FAMILY_BOOLEAN;
    if (strcmp(column->type->sqlite, "INTEGER") == 0)
        return FAMILY_INTEGER;
    if (strcmp(column->type->sqlite, "REAL") == 0)
        return FAMILY_REAL;
    return strcmp(column->type->sqlite, "TEXT") == 0 ? FAMILY_TEXT : FAMILY_OTHER;
}

static struct node *parse_name(struct parser *parser)
{
    const struct token *name = parser->at++;
    bool is_word = name->kind == TOKEN_WORD;

    if (accept(parser, "(")) {
        if (is_word && strcmp(name->text, "TRIM") == 0)
            return parse_trim(parser);
        if (is_word && strcmp(name->text, "SUBSTRING") == 0)
            return parse_substring(parser);
        struct node *arguments = parse_list(parser, ")");
        return arguments == NULL ? NULL : make_call(parser, name->text, arguments);
    }
    if (is_word && strcmp(name->text, "NULL") == 0)
        return new_node(parser, NODE_WORD, FAMILY_OTHER, "NULL", NULL);
    if (is_word && strcmp(name->text, "true") == 0)
        return new_node(parser, NODE_WORD, FAMILY_BOOLEAN, "1", NULL);
    if (is_word && strcmp(name->text, "false") == 0)
        return new_node(parser, NODE_WORD, FAMILY_BOOLEAN, "0", NULL);

    const struct model_column *column = model_find_column(parser->table, name->text);
    if (column == NULL || token_is(parser->at, "."))
        return fail(parser, "name", name->text);
    parser->has_column = true;
    return new_node(parser, NODE_COLUMN, family_of(column), column->name, NULL);
}

static struct node *parse_primary(struct parser *parser)
{
    const struct token *token = parser->at;

    switch (token->kind) {
    case TOKEN_WORD:
    case TOKEN_QUOTED:
        return parse_name(parser);
    case TOKEN_STRING:
        parser->at++;
        return new_node(parser, NODE_STRING, FAMILY_TEXT, token->text, NULL);
    case TOKEN_NUMBER:
        parser->at++;
        return new_node(parser, NODE_NUMBER,
                        strpbrk(token->text, ".eE") != NULL ? FAMILY_REAL : FAMILY_INTEGER,
                        token->text, NULL);
    case TOKEN_SYMBOL:
        if (accept(parser, "(")) {
            struct node *inner = parse_binary(parser, PRECEDENCE_ANY);
            return inner != NULL && expect(parser, ")") ? inner : NULL;
        }
        break;
    case TOKEN_OPERATOR:
    case TOKEN_END:
        break;
    }
    expect(parser, "an operand");
    return NULL;
}

/* Values compare byte by byte in SQLite; another order only makes the index less useful. */
static void skip_collation(struct parser *parser)
{
    do {
        if (parser->at->kind == TOKEN_WORD || parser->at->kind == TOKEN_QUOTED)
            parser->at++;
    } while (accept(parser, "."));
}

static struct node *parse_postfix(struct parser *parser)
{
    struct node *node = parse_primary(parser);

    while (node != NULL) {
        if (accept(parser, "::"))
            node = parse_cast(parser, node);
        else if (accept(parser, "COLLATE"))
            skip_collation(parser);
        else
            break;
    }
    return node;
}

static struct node *parse_unary(struct parser *parser)
{
    const char *text = accept(parser, "NOT") ? "NOT" : accept(parser, "-") ? "-" : NULL;

    if (text == NULL)
        return parse_postfix(parser);
    if (++parser->depth > DEPTH_MAX)
        return fail(parser, "expressions of", "such a depth");
    bool is_not = strcmp(text, "NOT") == 0;
    struct node *operand = is_not ? parse_binary(parser, PRECEDENCE_NOT) : parse_unary(parser);
    parser->depth--;
    if (operand == NULL)
        return NULL;
    return new_node(parser, NODE_PREFIX, is_not ? FAMILY_BOOLEAN : operand->family, text, operand);
}

/* -- operators --------------------------------------------------------------------------------- */

/* IS [NOT] NULL and the like; the IS has been taken. */
static struct node *parse_test(struct parser *parser, struct node *operand)
{
    bool negated = accept(parser, "NOT");
    const char *text = NULL;

    if (accept(parser, "NULL") || accept(parser, "UNKNOWN"))
        text = negated ? "IS NOT NULL" : "IS NULL";
    else if (accept(parser, "TRUE"))
        text = negated ? "IS NOT TRUE" : "IS TRUE";
    else if (accept(parser, "FALSE"))
        text = negated ? "IS NOT FALSE" : "IS FALSE";
    if (text != NULL)
        return new_node(parser, NODE_TEST, FAMILY_BOOLEAN, text, operand);

    if (!expect(parser, "DISTINCT") || !expect(parser, "FROM"))
        return NULL;
    operand->next = parse_binary(parser, PRECEDENCE_IS + 1);
    if (operand->next == NULL)
        return NULL;
    return new_node(parser, NODE_BINARY, FAMILY_BOOLEAN, negated ? "IS" : "IS NOT", operand);
}

/* = ANY (ARRAY[…]), which is what Postgres makes of IN; the ARRAY may be cast in parentheses. */
static struct node *parse_in(struct parser *parser, struct node *operand, const char *text)
{
    bool nested;

    parser->at++; /* ANY or ALL */
    if (!expect(parser, "("))
        return NULL;
    nested = accept(parser, "(");
    if (!expect(parser, "ARRAY") || !expect(parser, "["))
        return NULL;
    operand->next = parse_list(parser, "]");
    if (operand->next == NULL || (nested && !expect(parser, ")")))
        return NULL;
    if (accept(parser, "::") && strcmp(parse_type(parser), "[]") != 0)
        return fail(parser, "a cast of", "an array");
    if (!expect(parser, ")"))
        return NULL;
    return new_node(parser, NODE_IN, FAMILY_BOOLEAN, text, operand);
}

static const struct binary_operator *find_operator(const struct token *token)
{
    for (size_t i = 0; i < COUNT(binary_operators); i++) {
        if (token_is(token, binary_operators[i].postgres))
            return &binary_operators[i];
    }
    return NULL;
}

static struct node *parse_operator(struct parser *parser, const struct binary_operator *found,
                                   struct node *left)
{
    parser->at++;
    if (strcmp(found->postgres, "=") == 0 && token_is(parser->at, "ANY"))
        return parse_in(parser, left, "IN");
    if (strcmp(found->postgres, "<>") == 0 && token_is(parser->at, "ALL"))
        return parse_in(parser, left, "NOT IN");
    left->next = parse_binary(parser, found->precedence + 1);
    if (left->next == NULL)
        return NULL;
    enum family family = found->family == FAMILY_OTHER ? left->family : found->family;
    return new_node(parser, NODE_BINARY, family, found->sqlite, left);
}

/* All that binds at least as tightly as `precedence`. */
static struct node *parse_binary(struct parser *parser, int precedence)
{
    if (++parser->depth > DEPTH_MAX)
        return fail(parser, "expressions of", "such a depth");

    struct node *left = parse_unary(parser);
    while (left != NULL) {
        const struct binary_operator *found = find_operator(parser->at);
        if (found != NULL && found->precedence >= precedence)
            left = parse_operator(parser, found, left);
        else if (precedence <= PRECEDENCE_IS && accept(parser, "IS"))
            left = parse_test(parser, left);
        else if (parser->at->kind == TOKEN_OPERATOR && found == NULL)
            left = fail(parser, "operator", parser->at->text);
        else
            break;
    }
    parser->depth--;
    return left;
}

const struct node *expression_parse(const char *expression, const struct model_table *table,
                                    struct arena *arena, const char **reason)
{
    struct parser parser = {token_split(expression, arena), table, arena, NULL, 0, 0, false};

    *reason = "no translation of an expression like this";
    if (parser.at == NULL)
        return NULL;
    const struct node *tree = parse_binary(&parser, PRECEDENCE_ANY);
    if (tree != NULL && parser.at->kind != TOKEN_END)
        expect(&parser, "the end");
    if (parser.reason == NULL && !parser.has_column)
        fail(&parser, "an expression without", "columns");
    *reason = parser.reason;
    return parser.reason == NULL ? tree : NULL;
}
