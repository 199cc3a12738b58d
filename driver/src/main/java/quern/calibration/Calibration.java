package quern.calibration;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.demo.Demo;

/** Windows of tokens from a name or a path; see the package for the rules. */
public final class Calibration {
    /** {@code PATH:column}; a colon before a port or a scheme is followed by something else. */
    private static final Pattern WITH_COLUMN = Pattern.compile("(.+):([A-Za-z_][A-Za-z0-9_.]*)");

    /** Tokens in all. */
    private static final int MOST = 1 << 30;

    private final SparkSession spark;
    private final Tokenizer tokenizer;
    private final DatasetFiles datasets;

    /**
     * @param datasets where named sets are found unless {@code spark.quern.dataset.NAME} names a local copy
     */
    public Calibration(SparkSession spark, Tokenizer tokenizer, DatasetFiles datasets) {
        this.spark = spark;
        this.tokenizer = tokenizer;
        this.datasets = datasets;
    }

    /**
     * Calibration windows.
     *
     * @param source {@code demo}, a name, or a path with an optional column, {@code PATH[:column]}
     * @param samples how many windows
     * @param length tokens of each
     * @param seed of the draws; a path is not drawn from
     */
    public TokenWindows windows(String source, int samples, int length, long seed) {
        return windows(source, samples, 0, length, seed);
    }

    /**
     * The same windows, and behind them others of the same text.
     *
     * @param further how many others at most: fewer, or none, where the text has no more
     */
    public TokenWindows windows(String source, int samples, int further, int length, long seed) {
        int asked = tokens(samples, length);
        int all = samples + Math.min(further, (MOST - asked) / length);
        int want = all * length;
        return reading(source, () -> {
            if (source.equals(Demo.NAME)) {
                int[] ids = new FirstTokens(want, true)
                        .sample(Demo.calibrationStories().iterator(), tokenizer)
                        .ids();
                return enough(
                        source, TokenWindows.cut(ids, length, "the demo model's own stories"), ids.length, samples);
            }
            Optional<NamedText> named = NamedText.find(source);
            return named.isPresent()
                    ? drawn(named.get(), false, all, length, seed)
                    : fromPath(source, samples, length, want);
        });
    }

    /**
     * Consecutive windows of an evaluation text, tokenized at once; the tail is dropped.
     *
     * @param source as for {@link #windows}
     * @param length tokens of a window
     * @param maxWindows how many windows at most; 0 for all
     * @param maxChars how many characters of the text are used; 0 for all
     */
    public TokenWindows evaluationWindows(String source, int length, int maxWindows, int maxChars) {
        int most = maxWindows == 0 ? JoinedText.ALL : tokens(maxWindows, length);
        int chars = maxChars == 0 ? JoinedText.ALL : maxChars;
        return reading(source, () -> {
            if (source.equals(Demo.NAME)) {
                int[] ids = new FirstTokens(most, true)
                        .sample(Demo.evaluationStories().iterator(), tokenizer)
                        .ids();
                return enough(source, TokenWindows.cut(ids, length, "the demo model's own stories"), ids.length, 1);
            }
            Optional<NamedText> named = NamedText.find(source);
            return named.isPresent()
                    ? evaluation(named.get(), length, most, chars)
                    : evaluationOfPath(source, length, most, chars);
        });
    }

    private TokenWindows fromPath(String source, int samples, int length, int want) throws IOException {
        int[] ids = new int[0];
        long withoutText = 0;
        for (TextFile file : files(source)) { // one after the other: mostly the first has enough
            SamplingTask.Result more = run(List.of(file), null, new FirstTokens(want - ids.length, false));
            ids = joined(ids, more.ids());
            withoutText += more.withoutText();
            if (ids.length == want) {
                break;
            }
        }
        return enough(source, TokenWindows.cut(ids, length, described(source, withoutText)), ids.length, samples);
    }

    private TokenWindows evaluationOfPath(String source, int length, int most, int chars) throws IOException {
        int[] ids = new int[0];
        long withoutText = 0;
        for (TextFile file : files(source)) {
            String separator = file.kind() == TextFile.Kind.LINES ? "" : "\n\n";
            SamplingTask.Result more = run(
                    List.of(file), null, new JoinedText(separator, JoinedText.ALL, chars, most - ids.length, false));
            ids = joined(ids, more.ids());
            withoutText += more.withoutText();
            if (ids.length == most) {
                break;
            }
        }
        return enough(source, TokenWindows.cut(ids, length, described(source, withoutText)), ids.length, 1);
    }

    private TokenWindows drawn(NamedText named, boolean evaluation, int samples, int length, long seed)
            throws IOException {
        Sampling rule = named.byDocument()
                ? new RandomDocuments(samples, length, seed)
                : new RandomWindows(
                        new JoinedText(named.separator, JoinedText.ALL, JoinedText.ALL, JoinedText.ALL, true),
                        samples,
                        length,
                        seed);
        SamplingTask.Result result = run(files(named, evaluation), named, rule);
        if (result.ids().length == 0) {
            throw new QuernException("Cannot calibrate with " + named.id() + ": "
                    + (named.byDocument()
                            ? "none of its " + result.seen() + " documents is longer than a window of " + length
                                    + " tokens"
                            : "its " + result.seen() + " tokens are not more than one window of " + length)
                    + " (use a smaller --seqlen or more text)");
        }
        return TokenWindows.cut(result.ids(), length, described(named.id() + ", seed " + seed, result.withoutText()));
    }

    private TokenWindows evaluation(NamedText named, int length, int most, int chars) throws IOException {
        if (named == NamedText.C4) { // the scripts evaluate it on 256 random windows of seed 0
            return drawn(named, true, Math.min(256, most / length), length, 0);
        }
        boolean isC4 = named.byDocument();
        JoinedText rule = new JoinedText(
                named.separator,
                isC4 ? 1100 : JoinedText.ALL,
                chars,
                isC4 ? Math.min(most, tokens(256, length)) : most,
                true);
        SamplingTask.Result result = run(files(named, true), named, rule);
        return enough(
                named.id(),
                TokenWindows.cut(result.ids(), length, described(named.id(), result.withoutText())),
                result.ids().length,
                1);
    }

    private List<TextFile> files(String source) {
        Matcher matcher = WITH_COLUMN.matcher(source);
        boolean hasColumn = matcher.matches() && !matcher.group(1).endsWith(":");
        return TextFile.below(
                hasColumn ? matcher.group(1) : source, hasColumn ? matcher.group(2) : "text", configuration());
    }

    private List<TextFile> files(NamedText named, boolean evaluation) {
        String split = evaluation ? named.evaluationSplit : named.trainSplit;
        Optional<String> copy = new LocalCopies(spark).path(named.id(), split);
        List<String> paths = copy.isPresent()
                ? List.of(copy.get())
                : datasets.paths(named.dataset, evaluation ? named.evaluationConfig : named.trainConfig, split);
        return paths.stream()
                .flatMap(path -> TextFile.below(path, named.column, configuration()).stream())
                .toList();
    }

    private SamplingTask.Result run(List<TextFile> files, @Nullable NamedText named, Sampling rule) throws IOException {
        JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
        TextFile.Shape shape = files.get(files.size() - 1).shape(configuration());
        JavaRDD<Row> rows = files.get(0).rows(spark).toJavaRDD();
        for (TextFile file : files.subList(1, files.size())) {
            rows = rows.union(file.rows(spark).toJavaRDD());
        }
        context.setJobDescription("Tokenize " + files.get(0).path());
        try {
            return SamplingTask.run(context, rows, tokenizer, shape, named, rule);
        } finally {
            context.setJobDescription(null);
        }
    }

    private Configuration configuration() {
        return spark.sparkContext().hadoopConfiguration();
    }

    private static TokenWindows enough(String source, TokenWindows found, int tokens, int samples) {
        int windows = found.windows().size();
        if (windows == 0) {
            throw new QuernException(
                    "Cannot use the text of " + source + ": it has " + tokens + " tokens, fewer than one window of "
                            + found.length() + " (give more text or a smaller --seqlen)");
        }
        if (windows < samples) {
            throw new QuernException(
                    "Cannot take " + samples + " windows of " + found.length() + " tokens from " + source
                            + ": its " + tokens + " tokens make only " + windows + " (use --samples " + windows
                            + ", a smaller --seqlen or more text)");
        }
        return found;
    }

    private static int tokens(int samples, int length) {
        if (samples < 1 || length < 1 || (long) samples * length > MOST) {
            throw new QuernException("Cannot sample " + samples + " windows of " + length
                    + " tokens: both are positive, and there are at most 2^30 tokens in all (128 and 2048 are usual)");
        }
        return samples * length;
    }

    private static String described(String source, long withoutText) {
        return withoutText == 0 ? source : source + " (" + withoutText + " rows without text left out)";
    }

    private static int[] joined(int[] first, int[] second) {
        int[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    private interface Reading {
        TokenWindows read() throws Exception;
    }

    /** What Spark and Hadoop say of a file that cannot be read, in one sentence. */
    private static TokenWindows reading(String source, Reading reading) {
        try {
            return reading.read();
        } catch (QuernException e) {
            throw e;
        } catch (Exception e) {
            if (!(e instanceof IOException || e instanceof SparkException || isSql(e))) {
                throw e instanceof RuntimeException r ? r : new IllegalStateException(e);
            }
            Throwable root = e;
            while (root.getCause() != null && root.getCause() != root) {
                root = root.getCause();
            }
            String said = String.valueOf(root.getMessage()).lines().findFirst().orElse("");
            throw new QuernException(
                    "Cannot read text from " + source + ": " + root.getClass().getSimpleName() + ", " + said
                            + " (give a text, .jsonl or .parquet file that can be read)",
                    e);
        }
    }

    private static boolean isSql(Exception e) {
        return e.getClass().getName().equals("org.apache.spark.sql.AnalysisException");
    }
}
