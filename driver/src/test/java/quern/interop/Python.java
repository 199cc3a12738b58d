package quern.interop;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/** A pinned Python environment, built by {@code environment.sh} where it is missing. */
final class Python {
    private static final Path PROGRAMS = Path.of("src", "test", "python").toAbsolutePath();

    private final Path interpreter;

    private Python(Path interpreter) {
        this.interpreter = interpreter;
    }

    /**
     * @param name {@code main} or {@code vllm}; the system property {@code quern.interop.<name>} names one that exists already
     */
    static Python environment(String name) throws IOException, InterruptedException {
        String given = System.getProperty("quern.interop." + name, "");
        ProcessBuilder build = new ProcessBuilder(
                        PROGRAMS.resolve("environment.sh").toString(), name)
                .redirectError(ProcessBuilder.Redirect.INHERIT);
        if (!given.isEmpty()) {
            build.environment().put("QUERN_INTEROP_" + name.toUpperCase(Locale.ROOT), given);
        }
        Process process = build.start();
        String folder = new String(process.getInputStream().readAllBytes()).strip();
        if (process.waitFor() != 0) {
            throw new IOException("environment.sh " + name + " failed");
        }
        return new Python(Path.of(folder, "bin", "python"));
    }

    /** Runs one of our programs; its output goes to {@code log}. */
    void run(String program, List<String> arguments, Path log) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(
                        interpreter.toString(), PROGRAMS.resolve(program).toString())
                .redirectErrorStream(true)
                .redirectOutput(Files.createDirectories(log.getParent())
                        .resolve(log.getFileName())
                        .toFile());
        builder.command().addAll(arguments);
        Process process = builder.start();
        if (!process.waitFor(25, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            throw new IOException(program + " took more than 25 minutes; see " + log);
        }
        if (process.exitValue() != 0) {
            throw new IOException(program + " ended with " + process.exitValue() + "; see " + log);
        }
    }
}
