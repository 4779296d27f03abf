// pgJDBC: SSLRequest first, BEGIN glued to the next statement without a Sync, COMMIT prepared once
// and later only bound, scripts split by the driver, batches, portals fetched in pieces.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

public class PgjdbcDriver {
    static final String table = System.getenv("TABLE");

    static Connection connect(String... properties) throws SQLException {
        StringBuilder url = new StringBuilder(System.getenv("JDBC_URL"));
        for (String property : properties) {
            url.append('&').append(property);
        }
        return DriverManager.getConnection(url.toString(), System.getenv("PGUSER"), System.getenv("PGPASSWORD"));
    }

    static void done(String step) {
        System.out.println("ok " + step);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    interface Action {
        void run() throws Exception;
    }

    static void fails(String sqlstate, String saying, Action action) throws Exception {
        try {
            action.run();
        } catch (SQLException error) {
            check(sqlstate.equals(error.getSQLState()), error.getSQLState() + ": " + error.getMessage());
            check(error.getMessage().contains(saying), error.getMessage());
            return;
        }
        throw new AssertionError("this should have failed with " + sqlstate);
    }

    static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static String value(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getString(1);
        }
    }

    /** More executions than prepareThreshold (5), so unnamed, named and binary forms are all used. */
    static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int4 + 1, ?::text")) {
            for (int n = 0; n < 12; n++) {
                statement.setInt(1, n);
                statement.setString(2, "ä");
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next() && rows.getInt(1) == n + 1 && rows.getString(2).equals("ä"), "row " + n);
                }
            }
        }
    }

    static void electrify(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        run(connection, "CREATE TABLE " + table + " (id int PRIMARY KEY, value text)");
        run(connection, "ALTER TABLE " + table + " ENABLE ELECTRIC");
        connection.commit();
        // A script is split by the driver into several statements before one Sync.
        run(connection, "CREATE TABLE " + table + "_b (id int PRIMARY KEY); ALTER TABLE " + table + "_b ENABLE ELECTRIC");
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void rollBack(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        run(connection, "CREATE TABLE " + table + "_gone (id int PRIMARY KEY)");
        run(connection, "ALTER TABLE " + table + "_gone ENABLE ELECTRIC");
        connection.rollback();
        connection.setAutoCommit(true);
        check(value(connection, "SELECT to_regclass('" + table + "_gone')") == null, "the table is still there");
    }

    static void refused(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        run(connection, "CREATE TABLE " + table + "_bad (id int PRIMARY KEY, n int DEFAULT 1)");
        fails("P0001", "DEFAULT expressions", () -> run(connection, "ALTER TABLE " + table + "_bad ENABLE ELECTRIC"));
        fails("25P02", "aborted", () -> run(connection, "SELECT 1"));
        connection.rollback();
        connection.setAutoCommit(true);
    }

    static void recovery(Connection connection) throws Exception {
        fails("42601", "SELEC", () -> run(connection, "SELEC 1"));
        try (PreparedStatement statement = connection.prepareStatement("SELECT 1 / ?::int4")) {
            for (int n = 0; n < 12; n++) {
                int divisor = n % 2;
                statement.setInt(1, divisor);
                if (divisor == 0) {
                    fails("22012", "zero", statement::executeQuery);
                } else {
                    statement.executeQuery().close();
                }
            }
        }
    }

    static void copy(Connection connection) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int n = 0; n < 20000; n++) {
            lines.append(n).append("\tvalue ").append(n).append('\n');
        }
        var manager = connection.unwrap(PGConnection.class).getCopyAPI();
        check(manager.copyIn("COPY " + table + " FROM STDIN", new StringReader(lines.toString())) == 20000, "rows in");
        StringWriter out = new StringWriter();
        manager.copyOut("COPY (TABLE " + table + " ORDER BY id) TO STDOUT", out);
        check(out.toString().contentEquals(lines), "what came out differs");
    }

    /** A batch is one pipeline: P B D E P B D E … Sync. */
    static void batch(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
            for (int n = 0; n < 1000; n++) {
                statement.setInt(1, 100000 + n);
                statement.setString(2, "batch");
                statement.addBatch();
            }
            check(statement.executeBatch().length == 1000, "batch");
        }
    }

    /** Execute with a row limit on a named portal. */
    static void fetchInPieces(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(100);
            try (ResultSet rows = statement.executeQuery("SELECT generate_series(1, 1000)")) {
                int count = 0;
                while (rows.next()) {
                    count++;
                }
                check(count == 1000, count + " rows");
            }
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void cancel(Connection connection) throws Exception {
        long began = System.nanoTime();
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(300);
                    statement.cancel();
                } catch (Exception error) {
                    error.printStackTrace();
                }
            });
            canceller.start();
            fails("57014", "canceling", () -> statement.execute("SELECT pg_sleep(60)"));
            canceller.join();
        }
        check(System.nanoTime() - began < 5_000_000_000L, "the cancel request took too long");
    }

    static void simpleMode() throws Exception {
        try (Connection connection = connect("preferQueryMode=simple")) {
            run(connection, "BEGIN; CREATE TABLE " + table + "_s (id int PRIMARY KEY); "
                + "ALTER TABLE " + table + "_s ENABLE ELECTRIC; COMMIT");
            check(value(connection, "SELECT to_regclass('" + table + "_s')") != null, "no table");
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = connect()) {
            check(value(connection, "SELECT 1").equals("1"), "SELECT 1");
            done("connect");
            prepared(connection);
            done("prepared");
            electrify(connection);
            done("electrify");
            rollBack(connection);
            done("rollback");
            refused(connection);
            done("refused");
            recovery(connection);
            done("recovery");
            copy(connection);
            done("copy");
            batch(connection);
            done("pipeline");
            fetchInPieces(connection);
            done("cursor");
            cancel(connection);
            done("cancel");
        }
        simpleMode();
        done("simple");
    }
}
