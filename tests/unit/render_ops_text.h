/* Ops as the engine writes them, for tests of what becomes of them. In texts here ' stands for "
 * and ` for ', so that they can be read. */
#ifndef TESTS_UNIT_RENDER_OPS_TEXT_H
#define TESTS_UNIT_RENDER_OPS_TEXT_H

#define KEY(name, column, target, electrified, more)                                               \
    "{'name':'" name "','columns':['" column "'],'references':{'schema':'public','table':'" target \
    "','columns':['id']},'on_update':'NO ACTION','match':'SIMPLE','deferrable':false,"             \
    "'deferred':false,'electrified':" electrified "," more "}"
#define PLAIN_KEY(name, column, target, electrified) \
    KEY(name, column, target, electrified, "'on_delete':'NO ACTION'")

#define INDEX(name, keys, more) "{'name':'" name "','method':'btree','columns':[" keys "]" more "}"
#define ON(column) "{'column':'" column "'}"

#define FACTS(columns, keys)                                                    \
    "'columns':[" columns "],'primary_key':{'name':'i_pkey','columns':['id']}," \
    "'foreign_keys':[" keys "]"
#define CREATE_TABLE(name, columns, keys, indexes)          \
    "{'op':'create_table','schema':'public','table':'" name \
    "'," FACTS(columns, keys) ","                           \
                              "'indexes':[" indexes "]}"
#define CREATE_TYPE(name, labels) \
    "{'op':'create_type','schema':'public','name':'" name "','labels':[" labels "]}"
#define CHANGE(op, table, more) "{'op':'" op "','schema':'public','table':'" table "'," more "}"
#define ADD_COLUMN(table, column) CHANGE("add_column", table, "'column':" column)
#define CREATE_INDEX(table, index, columns) \
    CHANGE("create_index", table, "'index':" index ",'after':{" FACTS(columns, "") "}")
#define DROP_INDEX(table, name) CHANGE("drop_index", table, "'name':'" name "'")
#define DISABLE(table) "{'op':'disable_table','schema':'public','table':'" table "'}"
#define DROP_TYPE(name) "{'op':'drop_type','schema':'public','name':'" name "'}"
#define ADD_KEY(table, key) CHANGE("add_foreign_key", table, "'foreign_key':" key)
#define SQLITE(statements) "{'op':'sqlite','statements':'" statements "'}"

#endif
