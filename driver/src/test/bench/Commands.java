import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import quern.app.Application;
import quern.cli.Main;

/**
 * Runs many commands of Quern in one JVM, whose start takes longer than a small model. A line of standard input is one command,
 * its words between tabs; the first that fails ends the program.
 */
final class Commands {
    public static void main(String[] none) throws Exception {
        PrintWriter out = new PrintWriter(System.out, true);
        PrintWriter err = new PrintWriter(System.err, true);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int code = 0;
        try (Application application = new Application()) {
            for (String line; code == 0 && (line = lines.readLine()) != null; ) {
                long begin = System.nanoTime();
                code = Main.run(line.split("\t"), () -> application, out, err);
                out.printf("%.1f s, exit %d: %s%n", (System.nanoTime() - begin) / 1e9, code, line);
            }
        }
        System.exit(code);
    }
}
