import Support

/// The size of a model, apart from its vocabulary and context.
package struct ModelSize: Sendable, Hashable {
    package var width: Int
    package var layers: Int

    package init(width: Int, layers: Int) {
        self.width = width
        self.layers = layers
    }
}

extension GPTConfiguration {
    package var size: ModelSize { ModelSize(width: width, layers: layers) }

    /// Returns the configuration of another size in a parametrization.
    ///
    /// Heads keep their width, because the parametrizations do not change the scale of attention,
    /// which depends on it. The number of heads of keys and values and a stated width of the hidden
    /// layer follow in proportion.
    ///
    /// - Parameters:
    ///   - base: the size at which the parametrization equals the standard one.
    ///   - widthKey: the key of the width in messages.
    /// - Throws: `Failure` (configuration) if the width is not a multiple of a head's.
    package func resized(
        to size: ModelSize, _ parametrization: Parametrization, base: ModelSize,
        widthKey: String = "width"
    ) throws(Failure) -> GPTConfiguration {
        try require(
            size.width >= 1 && size.width % headWidth == 0,
            or: .key(
                widthKey, size.width,
                "must be a multiple of \(headWidth), the width of a head in the recipe",
                remedy: "use \(max(1, (size.width + headWidth / 2) / headWidth) * headWidth)"))
        var resized = self
        resized.heads = size.width / headWidth
        if let kvHeads {
            let share = heads / kvHeads
            try require(
                resized.heads.isMultiple(of: share),
                or: .key(
                    widthKey, size.width,
                    "makes \(resized.heads) heads, but the recipe has \(share) heads for each of "
                        + "keys and values",
                    remedy: "use a multiple of \(headWidth * share)"))
            resized.kvHeads = resized.heads / share
        }
        resized.hiddenWidth = hiddenWidth.map {
            max(1, ($0 * size.width + width / 2) / width)
        }
        resized.width = size.width
        resized.layers = size.layers
        resized.parametrization = parametrization
        resized.baseWidth = parametrization == .standard ? nil : base.width
        resized.baseLayers = parametrization == .completep ? base.layers : nil
        try resized.validate()
        return resized
    }
}
