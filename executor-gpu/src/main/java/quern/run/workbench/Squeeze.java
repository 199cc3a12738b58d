package quern.run.workbench;

/** What was made smaller where a device had no memory for it as it was planned. No byte of what is written depends on it. */
public enum Squeeze {
    PASSES("calibration passes began anew with half as many parts together"),
    RUNS("runs of calibration parts were taken in two halves"),
    BATCHES("batches of experts were solved in two halves"),
    SOLVES("sites were solved anew with no other beside them");

    private final String sentence;

    Squeeze(String sentence) {
        this.sentence = sentence;
    }

    /** @param times that it was done */
    public String sentence(long times) {
        return times + " " + sentence;
    }
}
