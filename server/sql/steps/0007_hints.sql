-- electric.health() says what to do, too: one more column of its answer.

DROP FUNCTION IF EXISTS electric.health();
