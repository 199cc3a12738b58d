package quern.calibration;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Iterator;

/**
 * For each sample a random document, drawn again until it is long enough, and a random window in it. {@code seen} is the
 * number of documents.
 *
 * <p>A document of exactly {@code length} tokens ends the scripts with an error (an empty range for its window's place);
 * here it is drawn again, like a shorter one.
 */
record RandomDocuments(int samples, int length, long seed) implements Sampling {
    @Override
    public Sampled sample(Iterator<String> texts, Tokenizer tokenizer) {
        try (Documents documents = Documents.spill(texts)) {
            BitSet isShort = new BitSet();
            PythonRandom random = new PythonRandom(seed);
            int[] ids = new int[samples * length];
            for (int s = 0; s < samples; s++) {
                int[] document = new int[0];
                while (document.length <= length) {
                    if (isShort.cardinality() == documents.count()) {
                        return new Sampled(new int[0], documents.count());
                    }
                    int drawn = random.randint(0, documents.count() - 1);
                    if (!isShort.get(drawn)) {
                        document = tokenizer.encode(documents.text(drawn), true);
                        isShort.set(drawn, document.length <= length);
                    }
                }
                int at = random.randint(0, document.length - length - 1);
                System.arraycopy(document, at, ids, s * length, length);
            }
            return new Sampled(ids, documents.count());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Documents in a temporary file of the executor: the C4 file has 356,317, of 800 MB in all. */
    private static final class Documents implements AutoCloseable {
        private final Path path;
        private final RandomAccessFile file;
        private final long[] ends;
        private final int count;

        private Documents(Path path, RandomAccessFile file, long[] ends, int count) {
            this.path = path;
            this.file = file;
            this.ends = ends;
            this.count = count;
        }

        static Documents spill(Iterator<String> texts) throws IOException {
            Path path = Files.createTempFile("quern-documents", ".utf8");
            try {
                long[] ends = new long[1024];
                int count = 0;
                long end = 0;
                try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(path), 1 << 20)) {
                    while (texts.hasNext()) {
                        byte[] bytes = texts.next().getBytes(StandardCharsets.UTF_8);
                        out.write(bytes);
                        end += bytes.length;
                        if (count == ends.length) {
                            ends = Arrays.copyOf(ends, 2 * count);
                        }
                        ends[count++] = end;
                    }
                }
                return new Documents(path, new RandomAccessFile(path.toFile(), "r"), ends, count);
            } catch (IOException | RuntimeException e) {
                Files.deleteIfExists(path);
                throw e;
            }
        }

        int count() {
            return count;
        }

        String text(int document) throws IOException {
            long begin = document == 0 ? 0 : ends[document - 1];
            byte[] bytes = new byte[Math.toIntExact(ends[document] - begin)];
            file.seek(begin);
            file.readFully(bytes);
            return new String(bytes, StandardCharsets.UTF_8);
        }

        @Override
        public void close() throws IOException {
            file.close();
            Files.deleteIfExists(path);
        }
    }
}
