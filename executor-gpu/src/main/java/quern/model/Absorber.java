package quern.model;

import java.util.List;

/**
 * What makes the input of a site, where that can take a factor for each channel: the site's input x becomes x / s when the rows of
 * {@link #givers} are divided by s, and its linears put out what they did when the columns of {@link #readers} are multiplied by it.
 *
 * @param site whose input it makes
 * @param index the site's place among those of its layer
 * @param ofNorm whether a norm makes it, rather than a linear
 * @param channels how many factors it takes
 * @param channelOfInput for each column of the input its channel; several columns have one where heads share a head of values
 * @param headDim columns of a head where the input is what attention puts out; else 0
 * @param givers the tensors of what makes the input
 * @param readers all linears that read it, those that are kept included
 */
public record Absorber(
        Site site,
        int index,
        boolean ofNorm,
        int channels,
        int[] channelOfInput,
        int headDim,
        List<Given> givers,
        List<Linear> readers) {
    public Absorber {
        givers = List.copyOf(givers);
        readers = List.copyOf(readers);
    }

    /**
     * A tensor of which each channel has a row, or an element.
     *
     * @param tensor its name
     * @param byColumn whether channels are columns: of a linear that is stored inputs x outputs, and of vectors
     * @param places for each channel the row or column
     * @param offset what is added to the stored number before it is used: of norms whose weights are offsets from one
     */
    public record Given(String tensor, boolean byColumn, int[] places, float offset) {}
}
