import Compute

#if arch(x86_64) && os(Linux)
    import CCompute
    import Compute
    import EmulatedTiles
    import Testing

    /// Tests of the AMX kernels on emulated tile registers, which end the process at an illegal
    /// instruction. MatrixProductTests tests them on real registers if there are any.
    @Suite struct EmulatedTileTests {
        /// Shapes with borders of tiles in every direction, and with depths of a part of a step, of
        /// complete steps and of both.
        static let shapes = [
            (1, 1, 2), (16, 32, 32), (17, 31, 34), (32, 32, 64), (33, 65, 30), (48, 96, 100),
            (63, 1, 258), (95, 130, 96),
        ]

        @Test("the emulated product equals that of the tiles", arguments: shapes, [false, true])
        func emulatedProductEqualsTheTiles(
            shape: (rows: Int, columns: Int, depth: Int), accumulates: Bool
        ) throws {
            let kernels = try #require(lockstep_emulated_tile_kernels()).pointee
            let (rows, columns, depth) = shape
            let a = Stored(numbers(rows * depth, seed: 1), columns: depth, .bf16)
            let b = Stored(numbers(depth * columns, seed: 2), columns: columns, .bf16)
            let (aTransposed, bTransposed) = (transposed(a), transposed(b))
            let before = numbers(rows * columns, seed: 3).map(Float.init)
            let expected = referenceTileProduct(
                a.floats, b.floats, columns: columns, depth: depth,
                before: accumulates ? before : nil)
            let (tall, wide) = (Int(kernels.tile_rows), Int(kernels.tile_columns))
            let multiple = Int(kernels.depth_multiple)
            let padded = (depth + multiple - 1) / multiple * multiple
            let right = Buffer<UInt16>(count: (columns + wide - 1) / wide * wide * padded)
            let left = Buffer<UInt16>(count: (rows + tall - 1) / tall * tall * padded)
            for way in Way.allCases {
                // An element that is not overwritten must be noticed.
                right.base.update(repeating: .max, count: right.count)
                left.base.update(repeating: .max, count: left.count)
                let c = Buffer<Float>(count: rows * columns)
                for index in 0..<c.count { c.base[index] = accumulates ? before[index] : .nan }
                if way == .packed {
                    kernels.pack_right_transposed(
                        bTransposed.operand.base, depth, depth, columns, right.base)
                } else {
                    kernels.pack_right(b.operand.base, columns, depth, columns, right.base, nil)
                }
                var block = Self.block(shape, into: c, accumulates: accumulates)
                block.b = UnsafeRawPointer(right.base)
                block.b_panel_stride = wide * padded
                switch way {
                case .inPlace:
                    block.a = UnsafeRawPointer(a.operand.base)
                    block.a_panel_stride = tall * depth
                    block.a_row_stride = depth
                    kernels.multiply_rows(&block)
                case .packed, .packedTransposed:
                    if way == .packed {
                        kernels.pack_left(a.operand.base, depth, depth, rows, left.base)
                    } else {
                        kernels.pack_left_transposed(
                            aTransposed.operand.base, rows, depth, rows, left.base)
                    }
                    block.a = UnsafeRawPointer(left.base)
                    block.a_panel_stride = tall * padded
                    kernels.multiply_columns(&block)
                }
                // The kernels know only addresses.
                let isEqual = withExtendedLifetime((a, b, aTransposed, bTransposed, left, right)) {
                    c.elements.elementsEqual(expected)
                }
                #expect(isEqual, "\(way)")
            }
        }

        enum Way: CaseIterable { case inPlace, packed, packedTransposed }

        /// Returns a block without operands.
        private static func block(
            _ shape: (rows: Int, columns: Int, depth: Int), into c: Buffer<Float>, accumulates: Bool
        ) -> lockstep_block {
            var block = lockstep_block()
            block.rows = shape.rows
            block.columns = shape.columns
            block.depth = shape.depth
            block.c = c.base
            block.c_stride = shape.columns
            block.accumulates = accumulates
            return block
        }

        private func transposed(_ x: Stored) -> Stored {
            let (rows, columns, values) = (x.operand.rows, x.operand.columns, x.doubles)
            let result = (0..<columns).flatMap { j in (0..<rows).map { values[$0 * columns + j] } }
            return Stored(result, columns: rows, .bf16)
        }
    }
#endif
