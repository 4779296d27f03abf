-- The table of migration tools: what is known about each, and nothing in code. A tool is recognised by
-- its table's name and columns, in any schema. Where names begin with no number that grows, or with
-- one that counts anew in each application, they are labels only.

DELETE FROM electric.frameworks;
INSERT INTO electric.frameworks (framework, table_name, columns, label_column, version_column, started) VALUES
    ('ecto', 'schema_migrations', '{version,inserted_at}', 'version', 'version', NULL),
    ('rails', 'schema_migrations', '{version}', 'version', 'version', NULL), -- and dbmate
    ('golang-migrate', 'schema_migrations', '{version,dirty}', 'version', 'version', 'dirty'),
    ('sequel', 'schema_migrations', '{filename}', 'filename', 'filename', NULL),
    ('sequel-integer', 'schema_info', '{version}', 'version', 'version', NULL),
    ('prisma', '_prisma_migrations', '{migration_name,started_at,finished_at,checksum}', 'migration_name', 'migration_name',
     'finished_at IS NULL AND rolled_back_at IS NULL'),
    ('databases', 'atdatabases_migrations_applied', '{index,name,script,applied_at}', 'name', 'name', NULL),
    ('knex', 'knex_migrations', '{name,batch,migration_time}', 'name', 'name', NULL),
    ('drizzle', '__drizzle_migrations', '{hash,created_at}', 'created_at', 'created_at', NULL),
    ('typeorm', 'migrations', '{timestamp,name}', 'name', 'timestamp', NULL),
    ('laravel', 'migrations', '{migration,batch}', 'migration', 'migration', NULL),
    ('db-migrate', 'migrations', '{name,run_on}', 'name', 'name', NULL),
    ('postgres-migrations', 'migrations', '{id,name,hash,executed_at}', 'name', 'id', NULL),
    ('node-pg-migrate', 'pgmigrations', '{name,run_on}', 'name', 'name', NULL),
    ('graphile-migrate', 'migrations', '{hash,previous_hash,filename,date}', 'filename', 'filename', NULL),
    ('sequelize', 'SequelizeMeta', '{name}', 'name', 'name', NULL), -- and Umzug
    ('kysely', 'kysely_migration', '{name,timestamp}', 'name', 'name', NULL),
    ('mikro-orm', 'mikro_orm_migrations', '{name,executed_at}', 'name', 'name', NULL),
    ('alembic', 'alembic_version', '{version_num}', 'version_num', NULL, NULL),
    ('django', 'django_migrations', '{app,name,applied}', 'name', NULL, NULL),
    ('flyway', 'flyway_schema_history', '{installed_rank,version,description,script}', 'script', 'version', NULL),
    ('liquibase', 'databasechangelog', '{id,author,filename,dateexecuted,orderexecuted}', 'id', 'id', NULL),
    ('sqitch', 'changes', '{change_id,change,project,committed_at}', 'change', NULL, NULL),
    ('goose', 'goose_db_version', '{version_id,is_applied,tstamp}', 'version_id', 'version_id', NULL),
    ('sql-migrate', 'gorp_migrations', '{id,applied_at}', 'id', 'id', NULL),
    ('yoyo', '_yoyo_migration', '{migration_hash,migration_id,applied_at_utc}', 'migration_id', 'migration_id', NULL),
    ('postgrator', 'schemaversion', '{version,name,md5,run_at}', 'name', 'version', NULL);
