"""The functions that a user's SQL may call: each computes from its arguments alone.

An allow-list: what is not here is refused, also what a newer engine brings. Left out on purpose is whatever reads
files, tables, dictionaries, models or settings, reports about the server or the session, waits, fails on demand,
formats by a schema file, talks to others, takes memory before it is counted (`printf`), compares every letter of a text
with every one of another and cannot be ended meanwhile (distances of edits), or takes states of aggregates apart
(made-up bytes are no state).
"""

from pathlib import Path

_ARITHMETIC = """
    abs avg2 divide divideDecimal divideOrNull gcd ifNotFinite intDiv intDivOrNull intDivOrZero isFinite isInfinite
    isNaN lcm max2 midpoint min2 minus mod modulo moduloOrNull moduloOrZero multiply multiplyDecimal negate plus
    positiveModulo positiveModuloOrNull sqr ceil ceiling floor round roundAge roundBankers roundDown roundDuration
    roundToExp2 trunc truncate acos acosh asin asinh atan atan2 atanh cbrt cos cosh degrees e erf erfc exp exp10 exp2
    hypot intExp10 intExp2 lgamma ln log log10 log1p log2 pi pow power radians sigmoid sign sin sinh sqrt tan tanh
    tgamma widthBucket width_bucket bitAnd bitCount bitHammingDistance bitNot bitOr bitRotateLeft bitRotateRight
    bitShiftLeft bitShiftRight bitSlice bitTest bitTestAll bitTestAny bitXor byteSwap rand rand32 rand64 randCanonical
    randNormal randUniform proportionsZTest minSampleSizeContinuous minSampleSizeConversion
"""
_COMPARISON = """
    equals notEquals less lessOrEquals greater greaterOrEquals isDistinctFrom isNotDistinctFrom and or not xor if
    multiIf clamp greatest least coalesce ifNull nullIf isNull isNotNull isNullable isZeroOrNull assumeNotNull
    toNullable firstNonDefault transform identity materialize
"""
_TIMES = """
    UTCTimestamp addDate addDays addHours addInterval addMicroseconds addMilliseconds addMinutes addMonths
    addNanoseconds addQuarters addSeconds addWeeks addYears age changeDay changeHour changeMinute changeMonth
    changeSecond changeYear curdate current_date current_timestamp dateDiff dateName dateTrunc date_diff date_trunc
    date_bin time_bucket formatDateTime formatDateTimeInJodaSyntax date_format fromDaysSinceYearZero
    fromModifiedJulianDay fromModifiedJulianDayOrNull fromUTCTimestamp fromUnixTimestamp fromUnixTimestampInJodaSyntax
    from_unixtime fromUnixTimestamp64Micro fromUnixTimestamp64Milli fromUnixTimestamp64Nano fromUnixTimestamp64Second
    last_day makeDate makeDate32 makeDateTime makeDateTime64 monthName now now64 parseDateTime parseDateTimeOrNull
    parseDateTimeOrZero parseDateTime64 parseDateTime64OrNull parseDateTime64OrZero parseDateTimeBestEffort
    parseDateTimeBestEffortOrNull parseDateTimeBestEffortOrZero parseDateTimeBestEffortUS
    parseDateTimeBestEffortUSOrNull parseDateTimeBestEffortUSOrZero parseDateTime64BestEffort
    parseDateTime64BestEffortOrNull parseDateTime64BestEffortOrZero parseDateTime64BestEffortUS
    parseDateTime64BestEffortUSOrNull parseDateTimeInJodaSyntax parseDateTimeInJodaSyntaxOrNull
    parseDateTimeInJodaSyntaxOrZero subDate subtractDays subtractHours subtractInterval subtractMicroseconds
    subtractMilliseconds subtractMinutes subtractMonths subtractNanoseconds subtractQuarters subtractSeconds
    subtractWeeks subtractYears timeDiff timeSlot timeSlots timezoneOf timezoneOffset timestamp timestamp_diff
    toDayOfMonth toDayOfWeek toDayOfYear toDaysInMonth toDaysSinceYearZero toHour toISOWeek toISOYear toLastDayOfMonth
    toLastDayOfWeek toMicrosecond toMillisecond toMinute toModifiedJulianDay toModifiedJulianDayOrNull toMonday
    toMonth toMonthNumSinceEpoch toNanosecond toQuarter toRelativeDayNum toRelativeHourNum toRelativeMinuteNum
    toRelativeMonthNum toRelativeQuarterNum toRelativeSecondNum toRelativeWeekNum toRelativeYearNum toSecond
    toStartOfDay toStartOfFifteenMinutes toStartOfFiveMinutes toStartOfFiveMinute toStartOfHour toStartOfISOYear
    toStartOfInterval toStartOfMicrosecond toStartOfMillisecond toStartOfMinute toStartOfMonth toStartOfNanosecond
    toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek toStartOfYear toTimezone toTimeZone
    toUTCTimestamp toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli toUnixTimestamp64Nano
    toUnixTimestamp64Second toWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss toYear toYearNumSinceEpoch toYearWeek today
    yesterday toInterval toIntervalNanosecond toIntervalMicrosecond toIntervalMillisecond toIntervalSecond
    toIntervalMinute toIntervalHour toIntervalDay toIntervalWeek toIntervalMonth toIntervalQuarter toIntervalYear year
    quarter month week day dayofmonth dayofweek dayofyear hour minute second
"""
_TEXTS = """
    CRC32 CRC32IEEE CRC64 alphaTokens appendTrailingCharIfAbsent ascii bar basename char compareSubstrings concat
    concatWithSeparator concat_ws conv decodeHTMLComponent decodeXMLComponent empty encodeXMLComponent endsWith
    endsWithCaseInsensitive endsWithUTF8 extractKeyValuePairs extractKeyValuePairsWithEscaping extractTextFromHTML
    firstLine format initcap initcapUTF8 isValidASCII isValidUTF8 lcase left leftPad leftPadUTF8 leftUTF8 length
    lengthUTF8 lower lowerUTF8 lpad ltrim mid naturalSortKey normalizeUTF8NFC normalizeUTF8NFD normalizeUTF8NFKC
    normalizeUTF8NFKD notEmpty overlay overlayUTF8 regexpExtract regexpPosition regexpQuoteMeta removeDiacriticsUTF8
    repeat replace replaceAll replaceOne replaceRegexpAll replaceRegexpOne regexp_replace regexp_extract reverse
    reverseUTF8 right rightPad rightPadUTF8 rightUTF8 rpad rtrim soundex space sparseGrams startsWith
    startsWithCaseInsensitive startsWithUTF8 stringBytesEntropy stringBytesUniq stringJaccardIndex
    stringJaccardIndexUTF8 substr substring substringIndex substringIndexUTF8 substringUTF8 toValidUTF8 translate
    translateUTF8 trim trimBoth trimLeft trimRight ucase upper upperUTF8 formatReadableDecimalSize
    formatReadableQuantity formatReadableSize formatReadableTimeDelta parseReadableSize parseReadableSizeOrNull
    parseReadableSizeOrZero parseTimeDelta visibleWidth arrayStringConcat ngrams splitByChar splitByNonAlpha
    splitByRegexp splitByString splitByWhitespace tokens countMatches countMatchesCaseInsensitive countSubstrings
    countSubstringsCaseInsensitive countSubstringsCaseInsensitiveUTF8 extract extractAll extractAllGroups
    extractAllGroupsHorizontal extractAllGroupsVertical extractGroups hasAllTokens hasAnyTokens hasPhrase hasSubsequence
    hasSubsequenceCaseInsensitive hasSubsequenceUTF8 hasToken hasTokenCaseInsensitive hasTokenOrNull ilike instr like
    locate match multiSearchAllPositions multiSearchAllPositionsCaseInsensitive multiSearchAny
    multiSearchAnyCaseInsensitive multiSearchFirstIndex multiSearchFirstIndexCaseInsensitive multiSearchFirstPosition
    multiSearchFirstPositionCaseInsensitive ngramDistance ngramDistanceCaseInsensitive ngramSearch
    ngramSearchCaseInsensitive notILike notLike position positionCaseInsensitive positionCaseInsensitiveUTF8
    positionUTF8 base32Decode base32Encode base58Decode base58Encode base64Decode base64Encode base64URLDecode
    base64URLEncode tryBase32Decode tryBase58Decode tryBase64Decode tryBase64URLDecode bin hex unbin unhex
"""
_JSON = """
    JSONArrayLength JSONExtract JSONExtractArrayRaw JSONExtractBool JSONExtractBoolCaseInsensitive
    JSONExtractCaseInsensitive JSONExtractFloat JSONExtractFloatCaseInsensitive JSONExtractInt
    JSONExtractIntCaseInsensitive JSONExtractKeys JSONExtractKeysAndValues JSONExtractKeysAndValuesRaw JSONExtractRaw
    JSONExtractRawCaseInsensitive JSONExtractString JSONExtractStringCaseInsensitive JSONExtractUInt
    JSONExtractUIntCaseInsensitive JSONHas JSONKey JSONLength JSONMergePatch JSONType JSON_EXISTS JSON_QUERY
    JSON_VALUE isValidJSON simpleJSONExtractBool simpleJSONExtractFloat simpleJSONExtractInt simpleJSONExtractRaw
    simpleJSONExtractString simpleJSONExtractUInt simpleJSONHas toJSONString visitParamExtractBool
    visitParamExtractFloat visitParamExtractInt visitParamExtractRaw visitParamExtractString visitParamExtractUInt
    visitParamHas
"""
_COLLECTIONS = """
    array arrayAll arrayAvg arrayCompact arrayConcat arrayCount arrayCumSum arrayCumSumNonNegative arrayDifference
    arrayDistinct arrayDotProduct arrayElement arrayElementOrNull arrayEnumerate arrayEnumerateDense
    arrayEnumerateUniq arrayExcept arrayExists arrayFill arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull
    arrayFlatten arrayFold arrayIntersect arrayJaccardIndex arrayJoin arrayLast arrayLastIndex arrayLastOrNull
    arrayMap arrayMax arrayMin arrayPartialReverseSort arrayPartialSort arrayPopBack arrayPopFront arrayProduct
    arrayPushBack arrayPushFront arrayRemove arrayResize arrayReverse arrayReverseFill arrayReverseSort
    arrayReverseSplit arrayRotateLeft arrayRotateRight arrayShiftLeft arrayShiftRight arrayShingles arraySlice
    arraySort arraySplit arraySum arraySymmetricDifference arrayUnion arrayUniq arrayWithConstant arrayZip
    arrayZipUnaligned countEqual emptyArrayString emptyArrayToSingle flatten has hasAll hasAny hasSubstr indexOf range
    map mapAdd mapAll mapApply mapConcat mapContains mapContainsKey mapContainsKeyLike mapExists mapExtractKeyLike
    mapFilter mapFromArrays mapKeys mapPartialSort mapReverseSort mapSort mapSubtract mapUpdate mapValues tuple
    tupleConcat tupleDivide tupleDivideByNumber tupleElement tupleHammingDistance tupleMinus tupleMultiply
    tupleMultiplyByNumber tupleNames tupleNegate tuplePlus tupleToNameValuePairs dotProduct L1Distance L1Norm
    L2Distance L2Norm cosineDistance seriesDecomposeSTL seriesOutliersDetectTukey rowNumberInAllBlocks
"""
_TYPES = """
    CAST _CAST accurateCast accurateCastOrNull date reinterpretAsFloat32 reinterpretAsFloat64
    reinterpretAsInt16 reinterpretAsInt32 reinterpretAsInt64 reinterpretAsInt8 reinterpretAsString reinterpretAsUInt16
    reinterpretAsUInt32 reinterpretAsUInt64 reinterpretAsUInt8 toBool toDate toDate32 toDate32OrNull toDate32OrZero
    toDateOrDefault toDateOrNull toDateOrZero toDateTime toDateTime32 toDateTime64 toDateTime64OrDefault
    toDateTime64OrNull toDateTime64OrZero toDateTimeOrDefault toDateTimeOrNull toDateTimeOrZero toDecimal128
    toDecimal128OrNull toDecimal128OrZero toDecimal32 toDecimal32OrNull toDecimal32OrZero toDecimal64
    toDecimal64OrNull toDecimal64OrZero toDecimalString toFixedString toFloat32 toFloat32OrDefault toFloat32OrNull
    toFloat32OrZero toFloat64 toFloat64OrDefault toFloat64OrNull toFloat64OrZero toInt128 toInt128OrNull toInt16
    toInt16OrDefault toInt16OrNull toInt16OrZero toInt256 toInt32 toInt32OrDefault toInt32OrNull toInt32OrZero toInt64
    toInt64OrDefault toInt64OrNull toInt64OrZero toInt8 toInt8OrDefault toInt8OrNull toInt8OrZero toLowCardinality
    toString toStringCutToZero toTypeName toUInt128 toUInt128OrNull toUInt16 toUInt16OrDefault toUInt16OrNull
    toUInt16OrZero toUInt256 toUInt32 toUInt32OrDefault toUInt32OrNull toUInt32OrZero toUInt64 toUInt64OrDefault
    toUInt64OrNull toUInt64OrZero toUInt8 toUInt8OrDefault toUInt8OrNull toUInt8OrZero toUUID toUUIDOrNull
    toUUIDOrZero toIPv4 toIPv4OrDefault toIPv4OrNull toIPv4OrZero toIPv6 toIPv6OrDefault toIPv6OrNull toIPv6OrZero
    generateUUIDv4 generateUUIDv7 UUIDv7ToDateTime UUIDNumToString UUIDStringToNum snowflakeIDToDateTime
    snowflakeIDToDateTime64 toDate32OrDefault toDecimal128OrDefault toDecimal32OrDefault toDecimal64OrDefault
    toInt128OrDefault toInt256OrDefault toInt256OrNull toUInt128OrDefault toUInt256OrDefault toUInt256OrNull
    toUUIDOrDefault modOrNull hasTokenCaseInsensitiveOrNull
"""
_NETWORK = """
    IPv4CIDRToRange IPv4NumToString IPv4NumToStringClassC IPv4StringToNum IPv4StringToNumOrDefault
    IPv4StringToNumOrNull IPv4ToIPv6 IPv6CIDRToRange IPv6NumToString IPv6StringToNum IPv6StringToNumOrDefault
    IPv6StringToNumOrNull cutIPv6 isIPAddressInRange isIPv4String isIPv6String MACNumToString MACStringToNum
    URLHierarchy URLPathHierarchy cutFragment cutQueryString cutQueryStringAndFragment cutToFirstSignificantSubdomain
    cutURLParameter cutWWW decodeURLComponent decodeURLFormComponent domain domainRFC domainWithoutWWW
    encodeURLComponent encodeURLFormComponent extractURLParameter extractURLParameterNames extractURLParameters
    firstSignificantSubdomain fragment netloc path pathFull port portRFC protocol queryString queryStringAndFragment
    topLevelDomain geoDistance greatCircleAngle greatCircleDistance geohashDecode geohashEncode
"""
_HASHES = """
    MD5 SHA1 SHA224 SHA256 SHA384 SHA512 cityHash64 farmHash64 halfMD5 intHash32 intHash64 javaHash jumpConsistentHash
    metroHash64 murmurHash2_32 murmurHash2_64 murmurHash3_128 murmurHash3_32 murmurHash3_64 ngramSimHash sipHash128
    sipHash64 wordShingleSimHash wyHash64 xxHash32 xxHash64 xxh3
"""
_AGGREGATES = """
    any anyHeavy anyLast any_value approx_top_count approx_top_k approx_top_sum argMax argMin array_agg avg
    avgWeighted bit_and bit_or bit_xor boundingRatio contingency corr corrStable count covarPop covarPopStable
    covarSamp covarSampStable covar_pop covar_samp cramersV cume_dist deltaSum deltaSumTimestamp denseRank dense_rank
    entropy exponentialMovingAverage exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedMax
    exponentialTimeDecayedSum first_value gini groupArray groupArrayInsertAt groupArrayIntersect groupArrayLast
    groupArrayMovingAvg groupArrayMovingSum groupArraySample groupArraySorted groupBitAnd groupBitOr groupBitXor
    groupConcat group_concat groupUniqArray histogram intervalLengthSum kolmogorovSmirnovTest kurtPop kurtSamp lag
    lagInFrame largestTriangleThreeBuckets last_value lead leadInFrame mannWhitneyUTest max maxIntersections
    maxIntersectionsPosition max_by meanZTest median medianExact medianTDigest min min_by nonNegativeDerivative
    nth_value ntile percentRank percent_rank quantile quantileBFloat16 quantileDD quantileDeterministic quantileExact
    quantileExactExclusive quantileExactHigh quantileExactInclusive quantileExactLow quantileExactWeighted quantileGK
    quantileInterpolatedWeighted quantileTDigest quantileTDigestWeighted quantileTiming quantileTimingWeighted
    quantiles quantilesBFloat16 quantilesDD quantilesDeterministic quantilesExact quantilesExactExclusive
    quantilesExactHigh quantilesExactInclusive quantilesExactLow quantilesExactWeighted quantilesGK
    quantilesInterpolatedWeighted quantilesTDigest quantilesTDigestWeighted quantilesTiming quantilesTimingWeighted
    rank rankCorr retention row_number sequenceCount sequenceMatch simpleLinearRegression singleValueOrNull skewPop
    skewSamp sparkbar stddevPop stddevPopStable stddevSamp stddevSampStable stddev_pop stddev_samp string_agg
    studentTTest sum sumCount sumKahan sumWithOverflow theilsU topK topKWeighted uniq uniqCombined uniqCombined64
    uniqExact uniqHLL12 uniqUpTo varPop varPopStable varSamp varSampStable var_pop var_samp welchTTest windowFunnel
"""
_COMBINATORS = ("If", "ArgMin", "ArgMax", "Array", "Distinct", "ForEach", "Map", "OrDefault", "OrNull", "Resample")
"""What may follow an aggregate's name. `State` and `Merge` may not."""

_SCALARS = (_ARITHMETIC, _COMPARISON, _TIMES, _TEXTS, _JSON, _COLLECTIONS, _TYPES, _NETWORK, _HASHES)
FUNCTIONS = frozenset(name for names in _SCALARS for name in names.split())
AGGREGATES = frozenset(_AGGREGATES.split())

_TAKE_FUNCTION = """
    arrayAll arrayAvg arrayCompact arrayCount arrayCumSum arrayCumSumNonNegative arrayDifference arrayExists arrayFill
    arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull arrayFold arrayLast arrayLastIndex arrayLastOrNull arrayMap
    arrayMax arrayMin arrayPartialReverseSort arrayPartialSort arrayProduct arrayReverseFill arrayReverseSort
    arrayReverseSplit arraySort arraySplit arraySum mapAll mapApply mapExists mapFilter mapPartialSort mapReverseSort
    mapSort
"""
TAKES_FUNCTION = frozenset(_TAKE_FUNCTION.lower().split())
"""Functions, in lower case, to which another can be handed over: as the first of several arguments."""

TAKES_TYPE = frozenset(
    {"cast", "_cast", "accuratecast", "accuratecastornull", "jsonextract"}
    | {"jsonextractcaseinsensitive", "jsonextractkeysandvalues"}
)
"""Functions, in lower case, whose last argument is a type's name."""

_TYPE_NAMES = """
    array bool date date32 datetime datetime32 datetime64 decimal decimal32 decimal64 decimal128 decimal256 fixedstring
    float32 float64 int8 int16 int32 int64 int128 int256 ipv4 ipv6 lowcardinality map nullable string tuple uint8 uint16
    uint32 uint64 uint128 uint256 uuid
"""
TYPES = frozenset(_TYPE_NAMES.split())
"""The types that a value may be turned into, in lower case."""

ENGINE_FUNCTIONS = frozenset((Path(__file__).parent / "engine_functions.txt").read_text().split())
"""Every function of the engine, in lower case: a name that is not a column's may be taken for one of them.

A file and not asked of the engine: a statement is checked before anything of it reaches the engine, and what is allowed
does not depend on what the engine says. A test compares both.
"""

_functions = frozenset(name.lower() for name in FUNCTIONS | AGGREGATES)
_aggregates = frozenset(name.lower() for name in AGGREGATES)


def is_allowed(name: str) -> bool:
    """Whether a statement may call `name`: a function, or an aggregate with combinators behind it."""
    if name.lower() in _functions:
        return True
    while name.lower() not in _aggregates:
        combinator = next((end for end in _COMBINATORS if name.endswith(end)), "")
        name = name.removesuffix(combinator)
        if not combinator or not name:
            return False
    return True


def is_handed_over(name: str, arguments: int) -> bool:
    """Whether the first of so many arguments of the function `name` is a function."""
    return name.lower() in TAKES_FUNCTION and arguments > 1
