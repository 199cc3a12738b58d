package quern.format;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Who reads which format, from the files of {@code conf/formats}. */
public final class Readers {
    private static final Map<String, List<Reader>> READ = new ConcurrentHashMap<>();

    private Readers() {}

    /** The programs of a format, those first that most people use. */
    public static List<Reader> of(Format format) {
        return READ.computeIfAbsent(format.readers(), file -> {
            try {
                return List.copyOf(
                        new YAMLMapper().readValue(resource(file + ".yaml"), new TypeReference<List<Reader>>() {}));
            } catch (IOException e) {
                throw new UncheckedIOException("conf/formats/" + file + ".yaml: " + e.getMessage(), e);
            }
        });
    }

    /**
     * A program to be pasted.
     *
     * @param code its name, see {@link Reader.Answer}
     * @param path the checkpoint, as it stands between the quotes of a string of Python
     */
    public static String code(String code, String path, int bits) {
        try {
            return resource("programs/" + code + ".py").replace("{path}", path).replace("{bits}", String.valueOf(bits));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String resource(String file) throws IOException {
        try (InputStream in = Readers.class.getResourceAsStream("/quern/formats/" + file)) {
            if (in == null) {
                throw new IllegalStateException("This build of Quern lacks conf/formats/" + file);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
