package quern;

import java.io.PrintWriter;
import quern.app.Application;
import quern.cli.Main;

/** The class that {@code spark-submit} starts. */
public final class Quern {
    private Quern() {}

    public static void main(String[] args) {
        PrintWriter out = new PrintWriter(System.out, true);
        PrintWriter err = new PrintWriter(System.err, true);
        int code;
        try (Application application = new Application()) {
            code = Main.run(args, () -> application, out, err);
        }
        if (code != 0) {
            System.exit(code);
        }
    }
}
