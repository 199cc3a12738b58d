package quern.demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** The embedded demo model. */
public final class Demo {
    /** How the command line and calibration ask for it. */
    public static final String NAME = "demo";
    /** Calibration windows, and tokens in each: nearly all of its text in windows as long as its positions. */
    public static final int SAMPLES = 123;

    public static final int LENGTH = 512;

    private static final String MODEL = "quern-stories-4m";
    /** The files of the model folder, without the two texts, which are not part of a checkpoint. */
    private static final List<String> FILES = List.of(
            "README.md",
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors");

    private Demo() {}

    /** Stories to calibrate with, one a line. */
    public static List<String> calibrationStories() {
        return lines("calibration.txt");
    }

    /**
     * Further stories to evaluate on. They are joined and cut into windows as calibration text is, so a window begins in the
     * middle of a story and holds several: perplexity comes out higher (6.57) than for each story by itself (4.85, see the
     * model's README). Before and after are measured alike.
     */
    public static List<String> evaluationStories() {
        return lines("evaluation.txt");
    }

    /**
     * Unpacks the model into a folder below {@code cache} unless it is there, and returns that folder. It appears whole or
     * not at all, also when several processes do this at once.
     */
    public static Path unpackTo(Path cache) throws IOException {
        Path model = cache.resolve(MODEL);
        if (isComplete(model)) {
            return model;
        }
        Files.createDirectories(cache);
        Path unpacked = Files.createTempDirectory(cache, MODEL + ".");
        try {
            for (String file : FILES) {
                try (InputStream in = open(file)) {
                    Files.copy(in, unpacked.resolve(file));
                }
            }
            place(unpacked, model);
        } finally {
            if (Files.exists(unpacked)) {
                delete(unpacked);
            }
        }
        return model;
    }

    private static void place(Path unpacked, Path model) throws IOException {
        try {
            move(unpacked, model);
        } catch (FileSystemException e) {
            if (!isComplete(model)) { // else another process was faster, with the same bytes: nobody takes those away
                delete(model); // cut off, or of another version
                move(unpacked, model);
            }
        }
    }

    private static void move(Path from, Path to) throws IOException {
        try {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(from, to);
        }
    }

    private static boolean isComplete(Path model) throws IOException {
        for (String file : FILES) {
            Path there = model.resolve(file);
            if (!Files.isRegularFile(there)) {
                return false;
            }
            try (InputStream ours = open(file);
                    InputStream theirs = Files.newInputStream(there)) {
                if (!Arrays.equals(ours.readAllBytes(), theirs.readAllBytes())) {
                    return false;
                }
            }
        }
        return true;
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }

    private static List<String> lines(String file) {
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(open(file), StandardCharsets.UTF_8))) {
            return reader.lines().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static InputStream open(String file) throws IOException {
        InputStream in = Demo.class.getResourceAsStream(MODEL + "/" + file);
        if (in == null) {
            throw new IOException("This build of Quern lacks the demo model's " + file);
        }
        return in;
    }
}
