package quern.calibration;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** The calibration sets that have names, and how the GPTQ scripts read each. */
enum NamedText {
    WIKITEXT2("Salesforce/wikitext", "wikitext-2-raw-v1", "wikitext-2-raw-v1", "text", "train", "test", "\n\n"),
    PTB("ptb-text-only/ptb_text_only", "penn_treebank", "penn_treebank", "sentence", "train", "validation", "\n\n"),
    PTB_NEW("ptb-text-only/ptb_text_only", "penn_treebank", "penn_treebank", "sentence", "train", "test", " "),
    C4("allenai/c4", C4Files.TRAIN, C4Files.VALIDATION, "text", "train", "validation", ""),
    C4_NEW("allenai/c4", C4Files.TRAIN, C4Files.VALIDATION, "text", "train", "validation", " ");

    /** Only these two of the thousand files are read. */
    private static final class C4Files {
        static final String TRAIN = "en/c4-train.00000-of-01024.json.gz";
        static final String VALIDATION = "en/c4-validation.00000-of-00008.json.gz";
    }

    final String dataset;
    final String trainConfig;
    final String evaluationConfig;
    final String column;
    final String trainSplit;
    final String evaluationSplit;
    /** What stands between rows where they become one text. */
    final String separator;

    NamedText(
            String dataset,
            String trainConfig,
            String evaluationConfig,
            String column,
            String trainSplit,
            String evaluationSplit,
            String separator) {
        this.dataset = dataset;
        this.trainConfig = trainConfig;
        this.evaluationConfig = evaluationConfig;
        this.column = column;
        this.trainSplit = trainSplit;
        this.evaluationSplit = evaluationSplit;
        this.separator = separator;
    }

    /** Whether windows are drawn inside documents; otherwise inside all rows joined to one text. */
    boolean byDocument() {
        return this == C4 || this == C4_NEW;
    }

    /** The row that a line of a local plain-text copy stands for. */
    String row(String line) {
        if (this == WIKITEXT2) { // the data set keeps line ends, and blank lines as empty rows
            return line.isBlank() ? "" : line + "\n";
        }
        return line.strip();
    }

    String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    static Optional<NamedText> find(String id) {
        return Arrays.stream(values()).filter(n -> n.id().equals(id)).findFirst();
    }

    static String ids() {
        return Arrays.stream(values()).map(NamedText::id).collect(Collectors.joining(", "));
    }
}
