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

    /** One of our programs. */
    static Path program(String name) {
        return PROGRAMS.resolve(name);
    }

    /** Runs a program; what it prints goes to {@code log}. */
    void run(Path program, List<String> arguments, Path log) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(
                        interpreter.toString(), PROGRAMS.resolve(program).toString())
                .redirectErrorStream(true)
                .redirectOutput(Files.createDirectories(log.getParent())
                        .resolve(log.getFileName())
                        .toFile());
        builder.command().addAll(arguments);
        // GPTQModel stops on two cores without it; vLLM would take half of the memory.
        builder.environment().putIfAbsent("GPTQMODEL_CPU_WORKERS", "2");
        builder.environment().putIfAbsent("VLLM_CPU_KVCACHE_SPACE", "1");
        builder.environment().put("HF_HUB_OFFLINE", "1");
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
