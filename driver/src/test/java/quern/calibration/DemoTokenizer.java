package quern.calibration;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import quern.demo.Demo;

/** The tokenizer of the demo model, from the class path. */
final class DemoTokenizer {
    private DemoTokenizer() {}

    static Tokenizer open() {
        try (InputStream in = Demo.class.getResourceAsStream("quern-stories-4m/tokenizer.json")) {
            return Tokenizer.of(in.readAllBytes(), "the demo model");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
