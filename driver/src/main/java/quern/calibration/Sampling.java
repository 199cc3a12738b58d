package quern.calibration;

import java.io.Serializable;
import java.util.Iterator;

/** A rule that chooses tokens from texts. Runs in a task. */
interface Sampling extends Serializable {
    /**
     * @param texts in the order of the file; need not be read to the end
     */
    Sampled sample(Iterator<String> texts, Tokenizer tokenizer);

    /**
     * @param ids the chosen tokens
     * @param seen what there was to choose from, in the rule's own unit
     */
    record Sampled(int[] ids, long seen) {}
}
