package quern.calibration;

import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.io.compress.CompressionCodec;
import org.apache.hadoop.io.compress.CompressionCodecFactory;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import quern.QuernException;

/**
 * One file of text, read by Spark's reader for its kind, in order, as one partition.
 *
 * @param path a Hadoop path
 * @param column the column of a JSON-lines or Parquet file
 */
record TextFile(String path, String column) {
    enum Kind {
        /** Lines of plain text. */
        LINES,
        JSON,
        PARQUET
    }

    /** What the rows of a file are; travels to the task that reads them. */
    record Shape(Kind kind, boolean endsWithNewline) implements Serializable {}

    /** The files of a path: itself, what a pattern matches, or all files below a folder by name. */
    static List<TextFile> below(String path, String column, Configuration configuration) {
        try {
            Path pattern = new Path(path);
            FileSystem files = pattern.getFileSystem(configuration);
            FileStatus[] roots = files.globStatus(pattern);
            if (roots == null || roots.length == 0) {
                throw new QuernException("Cannot read text from " + path
                        + ": there is no such file (give a text, .jsonl or .parquet file, a folder of them, or one of "
                        + NamedText.ids() + ")");
            }
            ArrayList<TextFile> found = new ArrayList<>();
            for (FileStatus root : roots) {
                RemoteIterator<LocatedFileStatus> each = files.listFiles(root.getPath(), true);
                while (each.hasNext()) {
                    LocatedFileStatus file = each.next();
                    if (!isHidden(root.getPath(), file.getPath())) {
                        found.add(new TextFile(file.getPath().toString(), column));
                    }
                }
            }
            if (found.isEmpty()) {
                throw new QuernException(
                        "Cannot read text from " + path + ": the folder has no files (put text there)");
            }
            found.sort(Comparator.comparing(TextFile::path));
            return found;
        } catch (IOException | IllegalArgumentException e) {
            throw new QuernException(
                    "Cannot read text from " + path + ": " + e.getMessage() + " (give a path that can be read)", e);
        }
    }

    private static boolean isHidden(Path root, Path file) {
        for (Path p = file; p != null && !p.equals(root); p = p.getParent()) {
            if (p.getName().startsWith("_") || p.getName().startsWith(".")) {
                return true;
            }
        }
        return false;
    }

    Kind kind() {
        String name = path.toLowerCase(Locale.ROOT);
        if (name.endsWith(".parquet")) {
            return Kind.PARQUET;
        }
        for (String ending : List.of(".gz", ".bz2", ".zst", ".xz", ".lz4", ".snappy")) {
            if (name.endsWith(ending)) {
                name = name.substring(0, name.length() - ending.length());
            }
        }
        return name.endsWith(".jsonl") || name.endsWith(".json") || name.endsWith(".ndjson") ? Kind.JSON : Kind.LINES;
    }

    /** One column of strings; null where a row has no text. */
    Dataset<Row> rows(SparkSession spark) {
        // A session of its own for settings that keep each file one partition, so that its rows come in order.
        SparkSession session = spark.newSession();
        session.conf().set("spark.sql.files.maxPartitionBytes", Long.toString(1L << 60));
        session.conf().set("spark.sql.files.minPartitionNum", "1");
        return switch (kind()) {
            case LINES -> session.read().text(path).select("value");
            case JSON -> json(session);
            case PARQUET -> parquet(session);
        };
    }

    private Dataset<Row> json(SparkSession session) {
        // With the schema given, Spark need not read the file first to find it out.
        Dataset<Row> rows = session.read()
                .schema(new StructType().add(column, DataTypes.StringType))
                .json(path);
        if (rows.filter(rows.col(column).isNotNull()).isEmpty()) {
            String[] columns =
                    session.read().json(session.read().textFile(path).limit(20)).columns();
            throw lacksColumn(columns);
        }
        return rows.select(rows.col(column));
    }

    private Dataset<Row> parquet(SparkSession session) {
        Dataset<Row> rows = session.read().parquet(path);
        if (!Arrays.asList(rows.columns()).contains(column)) {
            throw lacksColumn(rows.columns());
        }
        if (!rows.schema().apply(column).dataType().equals(DataTypes.StringType)) {
            throw new QuernException("Cannot read text from " + path + ": its column " + column + " holds "
                    + rows.schema().apply(column).dataType().simpleString() + ", not strings (name another column as "
                    + "PATH:column)");
        }
        return rows.select(rows.col("`" + column + "`"));
    }

    private QuernException lacksColumn(String[] columns) {
        return new QuernException("Cannot read text from " + path + ": it has no column " + column + " with text"
                + " (name one as PATH:column; it has " + String.join(", ", columns) + ")");
    }

    /** Spark's readers take line ends away, and Python keeps them: whether there is one at the end must be looked up. */
    Shape shape(Configuration configuration) throws IOException {
        Kind kind = kind();
        return new Shape(kind, kind != Kind.LINES || endsWithNewline(configuration));
    }

    private boolean endsWithNewline(Configuration configuration) throws IOException {
        Path file = new Path(path);
        FileSystem files = file.getFileSystem(configuration);
        CompressionCodec codec = new CompressionCodecFactory(configuration).getCodec(file);
        try (FSDataInputStream in = files.open(file)) {
            if (codec == null) {
                long length = files.getFileStatus(file).getLen();
                if (length == 0) {
                    return true;
                }
                in.seek(length - 1);
                return isNewline(in.read());
            }
            try (InputStream plain = codec.createInputStream(in)) {
                byte[] buffer = new byte[1 << 16];
                int last = '\n';
                for (int n = plain.read(buffer); n >= 0; n = plain.read(buffer)) {
                    last = n > 0 ? buffer[n - 1] : last;
                }
                return isNewline(last);
            }
        }
    }

    private static boolean isNewline(int last) {
        return last == '\n' || last == '\r';
    }
}
