package quern.calibration;

import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Row;
import org.jspecify.annotations.Nullable;
import quern.calibration.Sampling.Sampled;
import scala.Tuple2;

/**
 * One task that reads rows in order and applies a rule to them.
 *
 * @param tokenizer a tokenizer.json
 * @param shape of the rows
 * @param named the named set that the rows belong to, which says how a line becomes a row
 */
record SamplingTask(
        Broadcast<byte[]> tokenizer,
        TextFile.Shape shape,
        @Nullable NamedText named,
        Sampling rule) implements FlatMapFunction<Iterator<Row>, Tuple2<long[], int[]>> {
    /**
     * @param ids what the rule chose
     * @param seen as the rule counts
     * @param withoutText rows that had none, up to where the rule stopped reading
     */
    record Result(int[] ids, long seen, long withoutText) {}

    static Result run(
            JavaSparkContext spark,
            JavaRDD<Row> rows,
            Tokenizer tokenizer,
            TextFile.Shape shape,
            @Nullable NamedText named,
            Sampling rule) {
        Broadcast<byte[]> json = spark.broadcast(tokenizer.json());
        try {
            // A pair of arrays: what Kryo knows without a registration of ours.
            List<Tuple2<long[], int[]>> sampled = rows.coalesce(1)
                    .mapPartitions(new SamplingTask(json, shape, named, rule))
                    .collect();
            if (sampled.isEmpty()) { // a file without a byte has no partition
                return new Result(new int[0], 0, 0);
            }
            Tuple2<long[], int[]> only = sampled.get(0);
            return new Result(only._2(), only._1()[0], only._1()[1]);
        } finally {
            json.destroy();
        }
    }

    @Override
    public Iterator<Tuple2<long[], int[]>> call(Iterator<Row> rows) {
        Texts texts = new Texts(rows, shape, named);
        try (Tokenizer local = Tokenizer.of(tokenizer.value(), "the model")) {
            Sampled sampled = rule.sample(texts, local);
            return List.of(new Tuple2<>(new long[] {sampled.seen(), texts.withoutText}, sampled.ids()))
                    .iterator();
        }
    }

    /** Rows as the rules want them: lines with their ends again, rows without text left out and counted. */
    private static final class Texts implements Iterator<String> {
        private final Iterator<Row> rows;
        private final boolean isLines;
        private final boolean endsWithNewline;
        private final @Nullable Function<String, String> named;
        private @Nullable String next;
        long withoutText;

        Texts(Iterator<Row> rows, TextFile.Shape shape, @Nullable NamedText named) {
            this.rows = rows;
            this.isLines = shape.kind() == TextFile.Kind.LINES;
            this.endsWithNewline = shape.endsWithNewline();
            this.named = named == null ? null : named::row;
        }

        @Override
        public boolean hasNext() {
            while (next == null && rows.hasNext()) {
                Row row = rows.next();
                if (row.isNullAt(0)) {
                    withoutText++;
                } else {
                    next = row.getString(0);
                }
            }
            return next != null;
        }

        @Override
        public String next() {
            if (!hasNext() || next == null) {
                throw new NoSuchElementException();
            }
            String text = next;
            next = null;
            if (!isLines) {
                return text;
            }
            if (named != null) {
                return named.apply(text);
            }
            return endsWithNewline || hasNext() ? text + "\n" : text;
        }
    }
}
