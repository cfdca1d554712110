import { type Database, type Finding, loadDatabase } from '#dbc';

/** What every file begins with. */
export const HEAD = `VERSION "1"

NS_ :

BS_:

BU_: Gateway Dash

`;

/** One message, one signal. */
export const ENGINE = `${HEAD}BO_ 256 Engine: 8 Gateway
 SG_ Speed : 0|16@1+ (0.25,0) [0|8000] "rpm" Dash
`;

/** All of the language in one file, without a defect. */
export const WHOLE = `VERSION "whole \\"file\\""

NS_ :
\tCM_
\tBA_DEF_
\tNS_DESC_
\tSG_MUL_VAL_

BS_: 500 : 0 , 0

BU_: Gateway Dash Engine_Controller_With_A_Long_0

VAL_TABLE_ OnOff 1 "On" 0 "Off" ;

BO_ 256 Engine: 8 Gateway
 SG_ Speed : 0|16@1+ (0.25,0) [0|8000] "rpm" Dash,Gateway
 SG_ Torque : 23|16@0- (0.1,-5) [-3281.8|3271.7] "Nm" Dash
 SG_ Load : 32|32@1- (1,0) [0|0] "" Vector__XXX

BO_ 2566848766 Far: 64 Dash
 SG_ Precise : 0|64@1- (1,0) [0|0] "" Gateway

BO_ 512 Cells: 8 Dash
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" Gateway
 SG_ Half m0M : 8|8@1+ (1,0) [0|0] "" Gateway
 SG_ Deep m1 : 16|8@1+ (1,0) [0|0] "" Gateway
 SG_ Wide m2 : 8|8@1+ (1,0) [0|0] "" Gateway

BO_ 768 Plain: 2 Vector__XXX
 SG_ Kind M : 0|8@1+ (1,0) [0|0] "" Vector__XXX
 SG_ First m0 : 8|8@1+ (1,0) [0|0] "" Vector__XXX
 SG_ Second m255 : 8|8@1+ (1E-07,0) [0|0] "" Vector__XXX

BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX
 SG_ Lonely : 0|8@1+ (1,0) [0|0] "" Vector__XXX

BO_TX_BU_ 256 : Gateway,Dash;

EV_ Ignition: 0 [0|3] "" 0 1 DUMMY_NODE_VECTOR0 Gateway,Dash;
EV_ Blob: 0 [0|0] "" 0 2 DUMMY_NODE_VECTOR1 Vector__XXX;
EV_ Name: 0 [0|0] "" 0 3 DUMMY_NODE_VECTOR8000 Dash;
ENVVAR_DATA_ Blob: 10;
SGTYPE_ Volt : 16@1+ (0.1,0) [0|100] "V" 0, OnOff;
SIGTYPE_VALTYPE_ Volt : 0;

CM_ "the network";
CM_ BU_ Dash "shows things";
CM_ BO_ 256 "what the engine does,
in two lines; with // no comment";
CM_ SG_ 256 Speed "of the \\"crankshaft\\"";
CM_ EV_ Ignition "the key";
BA_DEF_ "BusType" STRING ;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","StandardCAN_FD","J1939PG";
BA_DEF_ SG_ "Weight" FLOAT -1.5 1.5;
BA_DEF_ SG_ "Mask" HEX 0 255;
BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;
BA_DEF_ BU_ "SystemNodeLongSymbol" STRING ;
BA_DEF_ EV_ "Shown" INT 0 1;
BA_DEF_REL_ BU_SG_REL_ "Timeout" INT 0 65535;
BA_DEF_REL_ BU_BO_REL_ "Wanted" ENUM "no","yes";
BA_DEF_REL_ BU_EV_REL_ "Panel" STRING ;
BA_DEF_DEF_ "BusType" "CAN";
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_DEF_DEF_ "VFrameFormat" "StandardCAN";
BA_DEF_DEF_ "SystemSignalLongSymbol" "";
BA_DEF_DEF_REL_ "Timeout" 100;
BA_ "BusType" "CAN FD";
BA_ "GenMsgCycleTime" BO_ 256 20;
BA_ "VFrameFormat" BO_ 256 2;
BA_ "VFrameFormat" BO_ 2566848766 3;
BA_ "Weight" SG_ 256 Speed -0.5;
BA_ "Mask" SG_ 256 Torque 255;
BA_ "SystemSignalLongSymbol" SG_ 512 Wide "Wide_Because_It_Has_More_Than_32_Characters";
BA_ "SystemNodeLongSymbol" BU_ Engine_Controller_With_A_Long_0 "Engine_Controller_With_A_Long_Name";
BA_ "Shown" EV_ Ignition 1;
BA_REL_ "Timeout" BU_SG_REL_ Dash SG_ 256 Speed 500;
BA_REL_ "Wanted" BU_BO_REL_ Dash 512 1;
BA_REL_ "Panel" BU_EV_REL_ Dash Ignition "left";
VAL_ 256 Speed 0 "Standing" 65535 "Not available" ;
VAL_ 2566848766 Precise -9223372036854775808 "Lowest" 9007199254740993 "Beyond 2^53" ;
VAL_ Ignition 0 "Off" 3 "Start" ;
SIG_GROUP_ 256 Main 1 : Speed Torque;
SIG_VALTYPE_ 256 Load : 1;
SIG_VALTYPE_ 2566848766 Precise : 0;
SIG_TYPE_REF_ 256 Speed : Volt;
SG_MUL_VAL_ 512 Half Page 0-3, 8-8;
SG_MUL_VAL_ 512 Deep Half 1-1;
SG_MUL_VAL_ 512 Wide Page 4-4, 100-200;
CAT_DEF_ 1 Category 0;
`;

export function load(text: string): { database: Database; findings: readonly Finding[] } {
  return loadDatabase(text, { file: 'car.dbc' });
}

/** What two models say, whatever file and line they stand in. */
export function meaning(database: Database): unknown {
  return JSON.parse(
    JSON.stringify(database, (key, value: unknown) => {
      if (key === 'line' || key === 'file') return undefined;
      if (value instanceof Map) return [...value];
      if (typeof value === 'bigint') return `${value}n`;
      return Object.is(value, -0) ? '-0' : value;
    }),
  );
}
