"""The options tables of the operators, in the notation of ``description``, and which operator has which.

Each dictionary lists its tables in the order of their numbers in the union of the same name, from 1 on.

Source: ``BuiltinOptions`` and ``BuiltinOptions2`` of the TensorFlow Lite schema, version 3d, as of LiteRT 2.3.
"""

from __future__ import annotations

from types import MappingProxyType

_ACTIVATION = "fused_activation_function:ActivationFunctionType"
_WINDOW = "padding:Padding stride_w:int32 stride_h:int32"
_DILATION = "dilation_w_factor:int32=1 dilation_h_factor:int32=1"
_CLIP = "cell_clip:float32 proj_clip:float32"

BUILTIN_OPTIONS = MappingProxyType(
    {
        "Conv2DOptions": f"{_WINDOW} {_ACTIVATION} {_DILATION} quantized_bias_type:TensorType",
        "DepthwiseConv2DOptions": f"{_WINDOW} depth_multiplier:int32 {_ACTIVATION} {_DILATION}",
        "ConcatEmbeddingsOptions": "num_channels:int32 num_columns_per_channel:[int32] embedding_dim_per_channel:[int32]",
        "LSHProjectionOptions": "type:LSHProjectionType",
        "Pool2DOptions": f"{_WINDOW} filter_width:int32 filter_height:int32 {_ACTIVATION}",
        "SVDFOptions": f"rank:int32 {_ACTIVATION} asymmetric_quantize_inputs:bool",
        "RNNOptions": f"{_ACTIVATION} asymmetric_quantize_inputs:bool",
        "FullyConnectedOptions": f"""
            {_ACTIVATION} weights_format:FullyConnectedOptionsWeightsFormat keep_num_dims:bool asymmetric_quantize_inputs:bool
            quantized_bias_type:TensorType quant_spec:[uint8]""",
        "SoftmaxOptions": "beta:float32",
        "ConcatenationOptions": f"axis:int32 {_ACTIVATION}",
        "AddOptions": f"{_ACTIVATION} pot_scale_int16:bool=True",
        "L2NormOptions": _ACTIVATION,
        "LocalResponseNormalizationOptions": "radius:int32 bias:float32 alpha:float32 beta:float32",
        "LSTMOptions": f"{_ACTIVATION} {_CLIP} kernel_type:LSTMKernelType asymmetric_quantize_inputs:bool",
        "ResizeBilinearOptions": "~new_height:int32 ~new_width:int32 align_corners:bool half_pixel_centers:bool",
        "CallOptions": "subgraph:uint32",
        "ReshapeOptions": "new_shape:[int32]",
        "SkipGramOptions": "ngram_size:int32 max_skip_size:int32 include_all_ngrams:bool",
        "SpaceToDepthOptions": "block_size:int32",
        "EmbeddingLookupSparseOptions": "combiner:CombinerType",
        "MulOptions": _ACTIVATION,
        "PadOptions": "",
        "GatherOptions": "axis:int32 batch_dims:int32",
        "BatchToSpaceNDOptions": "",
        "SpaceToBatchNDOptions": "",
        "TransposeOptions": "",
        "ReducerOptions": "keep_dims:bool",
        "SubOptions": f"{_ACTIVATION} pot_scale_int16:bool=True",
        "DivOptions": _ACTIVATION,
        "SqueezeOptions": "squeeze_dims:[int32]",
        "SequenceRNNOptions": f"time_major:bool {_ACTIVATION} asymmetric_quantize_inputs:bool",
        "StridedSliceOptions": """
            begin_mask:int32 end_mask:int32 ellipsis_mask:int32 new_axis_mask:int32 shrink_axis_mask:int32 offset:bool""",
        "ExpOptions": "",
        "TopKV2Options": "",
        "SplitOptions": "num_splits:int32",
        "LogSoftmaxOptions": "",
        "CastOptions": "in_data_type:TensorType out_data_type:TensorType",
        "DequantizeOptions": "",
        "MaximumMinimumOptions": "",
        "ArgMaxOptions": "output_type:TensorType",
        "LessOptions": "",
        "NegOptions": "",
        "PadV2Options": "",
        "GreaterOptions": "",
        "GreaterEqualOptions": "",
        "LessEqualOptions": "",
        "SelectOptions": "",
        "SliceOptions": "",
        "TransposeConvOptions": f"{_WINDOW} {_ACTIVATION} quantized_bias_type:TensorType",
        "SparseToDenseOptions": "validate_indices:bool",
        "TileOptions": "",
        "ExpandDimsOptions": "",
        "EqualOptions": "",
        "NotEqualOptions": "",
        "ShapeOptions": "out_type:TensorType",
        "PowOptions": "",
        "ArgMinOptions": "output_type:TensorType",
        "FakeQuantOptions": "min:float32 max:float32 num_bits:int32 narrow_range:bool",
        "PackOptions": "values_count:int32 axis:int32",
        "LogicalOrOptions": "",
        "OneHotOptions": "axis:int32",
        "LogicalAndOptions": "",
        "LogicalNotOptions": "",
        "UnpackOptions": "num:int32 axis:int32",
        "FloorDivOptions": "",
        "SquareOptions": "",
        "ZerosLikeOptions": "",
        "FillOptions": "",
        "BidirectionalSequenceLSTMOptions": f"""
            {_ACTIVATION} {_CLIP} merge_outputs:bool time_major:bool=True asymmetric_quantize_inputs:bool""",
        "BidirectionalSequenceRNNOptions": f"time_major:bool {_ACTIVATION} merge_outputs:bool asymmetric_quantize_inputs:bool",
        "UnidirectionalSequenceLSTMOptions": f"""
            {_ACTIVATION} {_CLIP} time_major:bool asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool""",
        "FloorModOptions": "",
        "RangeOptions": "",
        "ResizeNearestNeighborOptions": "align_corners:bool half_pixel_centers:bool",
        "LeakyReluOptions": "alpha:float32",
        "SquaredDifferenceOptions": "",
        "MirrorPadOptions": "mode:MirrorPadMode",
        "AbsOptions": "",
        "SplitVOptions": "num_splits:int32",
        "UniqueOptions": "idx_out_type:TensorType=int32",
        "ReverseV2Options": "",
        "AddNOptions": "",
        "GatherNdOptions": "",
        "CosOptions": "",
        "WhereOptions": "",
        "RankOptions": "",
        "ReverseSequenceOptions": "seq_dim:int32 batch_dim:int32",
        "MatrixDiagOptions": "",
        "QuantizeOptions": "",
        "MatrixSetDiagOptions": "",
        "HardSwishOptions": "",
        "IfOptions": "then_subgraph_index:int32 else_subgraph_index:int32",
        "WhileOptions": "cond_subgraph_index:int32 body_subgraph_index:int32",
        "DepthToSpaceOptions": "block_size:int32",
        "NonMaxSuppressionV4Options": "",
        "NonMaxSuppressionV5Options": "",
        "ScatterNdOptions": "",
        "SelectV2Options": "",
        "DensifyOptions": "",
        "SegmentSumOptions": "",
        "BatchMatMulOptions": "adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool",
        "CumsumOptions": "exclusive:bool reverse:bool",
        "CallOnceOptions": "init_subgraph_index:int32",
        "BroadcastToOptions": "",
        "Rfft2dOptions": "",
        "Conv3DOptions": f"""
            padding:Padding stride_d:int32 stride_w:int32 stride_h:int32 {_ACTIVATION} dilation_d_factor:int32=1 {_DILATION}""",
        "HashtableOptions": "table_id:int32 key_dtype:TensorType value_dtype:TensorType",
        "HashtableFindOptions": "",
        "HashtableImportOptions": "",
        "HashtableSizeOptions": "",
        "VarHandleOptions": "container:string shared_name:string",
        "ReadVariableOptions": "",
        "AssignVariableOptions": "",
        "RandomOptions": "seed:int64 seed2:int64",
        "BucketizeOptions": "boundaries:[float32]",
        "GeluOptions": "approximate:bool",
        "DynamicUpdateSliceOptions": "",
        "UnsortedSegmentProdOptions": "",
        "UnsortedSegmentMaxOptions": "",
        "UnsortedSegmentMinOptions": "",
        "UnsortedSegmentSumOptions": "",
        "ATan2Options": "",
        "SignOptions": "",
        "BitcastOptions": "",
        "BitwiseXorOptions": "",
        "RightShiftOptions": "",
    }
)

BUILTIN_OPTIONS_2 = MappingProxyType(
    {
        "StablehloConcatenateOptions": "dimension:int64",
        "StablehloBroadcastInDimOptions": "broadcast_dimensions:[int64]",
        "StablehloSliceOptions": "start_indices:[int64] limit_indices:[int64] strides:[int64]",
        "StablehloConvolutionOptions": """
            window_strides:[int64] padding:[int64] lhs_dilation:[int64] rhs_dilation:[int64] window_reversal:[bool]
            input_batch_dimension:int64 input_feature_dimension:int64 input_spatial_dimensions:[int64]
            kernel_input_feature_dimension:int64 kernel_output_feature_dimension:int64 kernel_spatial_dimensions:[int64]
            output_batch_dimension:int64 output_feature_dimension:int64 output_spatial_dimensions:[int64]
            feature_group_count:int64 batch_group_count:int64 precision_config:[StablehloPrecisionConfig]""",
        "StablehloCustomCallOptions": """
            call_target_name:string has_side_effect:bool backend_config:string api_version:int32 called_computations:[int32]
            custom_attributes:[uint8]""",
        "StablehloReduceOptions": "dimensions:[int64] body_subgraph_index:int32",
        "StablehloScatterOptions": """
            indices_are_sorted:bool update_window_dims:[int64] inserted_window_dims:[int64] scatter_dims_to_operand_dims:[int64]
            index_vector_dim:int64 unique_indices:bool update_computation_subgraph_index:int32""",
        "StablehloCompareOptions": "comparison_direction:StablehloComparisonDirection compare_type:StablehloComparisonType",
        "StablehloDynamicSliceOptions": "slice_sizes:[int64]",
        "StablehloPadOptions": "edge_padding_low:[int64] edge_padding_high:[int64] interior_padding:[int64]",
        "StablehloIotaOptions": "iota_dimension:int64",
        "StablehloDotGeneralOptions": """
            lhs_batching_dimensions:[int64] rhs_batching_dimensions:[int64] lhs_contracting_dimensions:[int64]
            rhs_contracting_dimensions:[int64] precision_config:[StablehloPrecisionConfig]""",
        "StablehloReduceWindowOptions": """
            window_dimensions:[int64] window_strides:[int64] base_dilations:[int64] window_dilations:[int64] padding:[int64]
            body_subgraph_index:int32""",
        "StablehloSortOptions": "dimension:int64 is_stable:bool comparator_subgraph_index:int32",
        "StablehloWhileOptions": "cond_subgraph_index:int32 body_subgraph_index:int32",
        "StablehloGatherOptions": """
            offset_dims:[int64] collapsed_slice_dims:[int64] start_index_map:[int64] index_vector_dim:int64 slice_sizes:[int64]
            indices_are_sorted:bool""",
        "StablehloTransposeOptions": "permutation:[int64]",
        "DilateOptions": "",
        "StablehloRngBitGeneratorOptions": "algorithm:RngAlgorithm",
        "ReduceWindowOptions": "reduce_function:ReduceWindowFunction",
        "StableHLOCompositeOptions": """
            name:string decomposition_subgraph_index:int32 composite_attributes:[uint8]
            composite_attributes_format:CustomOptionsFormat version:int32""",
        "StablehloShiftLeftOptions": "",
        "StablehloCaseOptions": "branch_subgraph_indices:[int32]",
    }
)

_BY_SPELLING = {table.removesuffix("Options").lower(): table for table in (*BUILTIN_OPTIONS, *BUILTIN_OPTIONS_2)}

_SHARED = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "RANDOM_STANDARD_NORMAL": "RandomOptions",
    "RANDOM_UNIFORM": "RandomOptions",
    "MULTINOMIAL": "RandomOptions",
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"), "ReducerOptions"),
}


def options_table(operator: str) -> str:
    """The name of the table that holds this builtin operator's options, e.g. "Conv2DOptions"; "NONE" where it has none."""
    return _SHARED.get(operator) or _BY_SPELLING.get(operator.replace("_", "").lower(), "NONE")
