package quern.interop;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import quern.app.Application;
import quern.cli.Main;
import quern.store.LocalStore;

/** The demo model quantized by the command itself. */
final class QuantizedDemo {
    private QuantizedDemo() {}

    /**
     * {@code quern quantize demo --out checkpoint}, with these options, but named by its folder, which leaves the evaluation out, and with
     * few samples: weights are not judged here.
     */
    static void write(Application application, Path checkpoint, List<String> options) throws IOException {
        List<String> arguments = new ArrayList<>(
                List.of("quantize", PackedDemo.MODEL.toString(), "--calibration", "demo", "--samples", "16"));
        arguments.addAll(List.of("--out", checkpoint.toString()));
        arguments.addAll(options);
        quern(application, checkpoint, arguments);
    }

    /** A command that writes a checkpoint. */
    static void quern(Application application, Path checkpoint, List<String> arguments) throws IOException {
        new LocalStore(checkpoint).delete(""); // of an earlier build
        StringWriter said = new StringWriter();
        PrintWriter words = new PrintWriter(said, true);
        if (Main.run(arguments.toArray(String[]::new), () -> application, words, words) != 0) {
            throw new IOException(arguments + ": " + said);
        }
    }
}
