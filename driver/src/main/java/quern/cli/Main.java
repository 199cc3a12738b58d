package quern.cli;

import java.io.PrintWriter;
import java.util.function.Supplier;
import picocli.CommandLine;

/** Reads a command line and has it carried out. */
public final class Main {
    /** Done. */
    static final int DONE = 0;
    /** It failed. */
    static final int FAILED = 1;
    /** The user can mend it. */
    static final int USAGE = 2;

    private Main() {}

    /**
     * @param commands asked for once the arguments are known to be good
     * @return the exit code
     */
    public static int run(String[] args, Supplier<Commands> commands, PrintWriter out, PrintWriter err) {
        CommandLine line = Cli.commandLine(commands);
        line.setOut(out);
        line.setErr(err);
        line.setParameterExceptionHandler((e, given) -> {
            String command = e.getCommandLine().getCommandSpec().qualifiedName();
            String said = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
            err.println("Cannot read the command line: " + said + " (" + command + " --help explains it)");
            return USAGE;
        });
        line.setExecutionExceptionHandler((e, where, parsed) -> Failure.report(e, args, err));
        if (args.length == 0) {
            line.usage(err);
            return USAGE;
        }
        return line.execute(args);
    }
}
