package quern.calibration;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.util.Map;
import quern.QuernException;
import quern.store.BlobStore;

/** Text to token ids, by a model's {@code tokenizer.json}. Never truncates or pads. Works without a network. */
public final class Tokenizer implements AutoCloseable {
    private static final String FILE = "tokenizer.json";
    /** No tokenizer is near this; what is larger is not one. */
    private static final long LARGEST = 256L << 20;

    static {
        // Otherwise the library asks its makers' server for a GPU build of itself where the host has a GPU.
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("OPT_OUT_TRACKING", "true");
    }

    private final byte[] json;
    private final HuggingFaceTokenizer tokenizer;

    private Tokenizer(byte[] json, HuggingFaceTokenizer tokenizer) {
        this.json = json;
        this.tokenizer = tokenizer;
    }

    /** The tokenizer of a model folder. */
    public static Tokenizer read(BlobStore model) throws IOException {
        byte[] json;
        try {
            long length = model.length(FILE);
            if (length > LARGEST) {
                throw new QuernException(
                        "Cannot read the tokenizer of " + model.location() + ": its tokenizer.json has " + length
                                + " bytes, which no tokenizer has (take the file from the model's origin again)");
            }
            ByteBuffer bytes = model.read(FILE, 0, Math.toIntExact(length));
            json = new byte[bytes.remaining()];
            bytes.get(json);
        } catch (NoSuchFileException e) {
            throw new QuernException(
                    "Cannot tokenize text for " + model.location() + ": it has no tokenizer.json (save the model's"
                            + " tokenizer there; transformers writes one with AutoTokenizer.save_pretrained)",
                    e);
        }
        return of(json, model.location());
    }

    /**
     * @param json the content of a tokenizer.json
     * @param location where it was found, for messages
     */
    public static Tokenizer of(byte[] json, String location) {
        try {
            TokenizerFile.check(new String(json, StandardCharsets.UTF_8));
            HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.newInstance(
                    new ByteArrayInputStream(json), Map.of("truncation", "false", "padding", "false"));
            return new Tokenizer(json, tokenizer);
        } catch (IOException | RuntimeException e) {
            throw new QuernException(
                    "Cannot read the tokenizer of " + location + ": " + reason(e)
                            + " (its tokenizer.json is broken; take the file from the model's origin again)",
                    e);
        }
    }

    /** The ids of one text; {@link QuernException} where the file does not hold what encoding needs. */
    public int[] encode(String text, boolean specialTokens) {
        // Not HuggingFaceTokenizer.encode: that also makes a string and two offsets for each token of a text of
        // millions.
        TokenizersLibrary library = TokenizersLibrary.LIB;
        long encoding;
        try {
            encoding = library.encode(tokenizer.getHandle(), text, specialTokens);
        } catch (RuntimeException e) { // such as an unknown-token that is not in the vocabulary
            throw unusable(e);
        }
        try {
            long[] ids = library.getTokenIds(encoding);
            int[] narrow = new int[ids.length];
            for (int i = 0; i < ids.length; i++) {
                narrow[i] = Math.toIntExact(ids[i]);
            }
            return narrow;
        } catch (ArithmeticException e) {
            throw unusable(e);
        } finally {
            library.deleteEncoding(encoding);
        }
    }

    /** The text of ids. */
    public String decode(int[] ids) {
        long[] wide = new long[ids.length];
        for (int i = 0; i < ids.length; i++) {
            wide[i] = ids[i];
        }
        return tokenizer.decode(wide);
    }

    /** The tokenizer.json that this was read from: what travels to another process. */
    public byte[] json() {
        return json.clone();
    }

    @Override
    public void close() {
        tokenizer.close();
    }

    private static QuernException unusable(RuntimeException e) {
        return new QuernException(
                "Cannot tokenize text with this tokenizer.json: " + reason(e)
                        + " (take the file from the model's origin again)",
                e);
    }

    private static String reason(Exception e) {
        String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        String line = new String(message.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8)
                .lines()
                .findFirst()
                .orElse("it cannot be parsed");
        return line.length() > 160 ? line.substring(0, 160) + "..." : line;
    }
}
